"""What every method owes the rest of the house."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods.helpers import (
    CONFIGS,
    LOSSES,
    NEED_RESNET,
    NEED_VIT,
    RESNET,
    VIT,
    backbone_of,
    batch_for,
    changed,
    embeddings,
    method_of,
    off,
)

from collapselab.collapse.snapshot import DIRECTIONAL
from collapselab.config.data import Augmentation, Branch, Crop, Digits
from collapselab.config.evaluation import Evaluation
from collapselab.config.study import Study
from collapselab.config.training import EMA, Regime, Snapshots, Training
from collapselab.data import digits
from collapselab.data.dataset import Manifest, Split, channel_statistics
from collapselab.files import load_arrays, read_csv, read_json
from collapselab.methods import METHODS
from collapselab.methods.base import Method, Progress, Softmax
from collapselab.training.cell import Cell, run_cell
from collapselab.training.optimisers import build_optimiser

CASES = [(name, ()) for name in METHODS]
CASES += [(name, (guard.name,)) for name, method in METHODS.items() for guard in method.guards]
CASES += [(name, combination.guards) for name, method in METHODS.items() for combination in method.combinations]


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_declares_what_the_rest_relies_on(name: str) -> None:
    method = method_of(CONFIGS[name])
    layers = method.eval().features(torch.randn(4, 3, 32, 32))
    assert {method.representation, *method.loss_layers} <= set(layers)
    assert set(method.softmaxes()) <= set(layers)
    losses = method.train().loss(method(method.views(batch_for(method))))
    assert losses["loss"].ndim == 0 and losses["loss"].requires_grad
    for declared in (*method.guards, *method.combinations):
        assert declared.source and declared.expected and set(declared.expected) <= set(layers)
    for guard in method.guards:
        assert guard.parameter in type(CONFIGS[name]).model_fields and guard.name in {
            one.name for one in type(method).switched_off(off(name, guard.name))
        }
    assert len({guard.parameter for guard in method.guards}) == len(method.guards)  # each switched by a key of its own
    assert bool(method.guards) != method.supervised


def published(name: str) -> Regime:
    own = ("method", "backbone", "augmentation", "epochs")
    return type(CONFIGS[name])(**{key: getattr(CONFIGS[name], key) for key in own})


@pytest.mark.parametrize(
    "name", sorted(set(METHODS) - {"token_distillation"})
)  # the notebook's has neither of DINO's guards
def test_the_published_defaults_have_every_guard_on(name: str) -> None:
    assert METHODS[name].switched_off(published(name)) == []


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_trained_parameter_is_in_exactly_one_group(name: str) -> None:
    for config in (CONFIGS[name], *(off(name, guard.name) for guard in METHODS[name].guards)):
        method = method_of(config)
        grouped = [id(p) for group in method.parameter_groups() for p in group["params"]]
        assert sorted(grouped) == sorted(id(p) for p in method.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_gradients_agree_with_numerical_ones(name: str) -> None:
    config = changed(name, stop_gradient=False) if name == "simsiam" else CONFIGS[name]
    method = method_of(config)
    shape = (2, 2, 6) if name == "token_distillation" else (4, 6 if name == "dino" else 3)
    inputs = [t.requires_grad_() for seed in (0, 1) for t in embeddings(*shape, seed=seed)]
    names = LOSSES[name]
    given = {"labels": torch.tensor([0, 2, 1, 1])} if name == "supervised" else {}
    assert torch.autograd.gradcheck(
        lambda *x: method.loss(given | dict(zip(names, x, strict=True)))["loss"], inputs[: len(names)]
    )


def step(method: Method, optimiser: torch.optim.Optimizer, number: int) -> float:
    torch.manual_seed(number)
    loss = method.loss(method(method.views(batch_for(method))))["loss"]
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    method.after_step(Progress(number, 10))
    return float(loss.detach())


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_state_dict_is_all_there_is_to_resume_from(name: str) -> None:
    on = {"centering": True} if name == "token_distillation" else {}
    configs = changed(name, **on)
    first, second = method_of(configs), method_of(configs)
    optimisers = [build_optimiser(method, configs.optimiser) for method in (first, second)]
    for number in (1, 2):
        step(first, optimisers[0], number)
    second.load_state_dict(first.state_dict())
    optimisers[1].load_state_dict(copy.deepcopy(optimisers[0].state_dict()))
    assert [step(first, optimisers[0], n) for n in (3, 4)] == [step(second, optimisers[1], n) for n in (3, 4)]
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


# ---- training on digits, for a few steps

DATA = Digits(
    source="digits",
    train=64,
    validation=30,
    test=20,
    size=(14, 22),
    shift=4,
    angle=15,
    brightness=(0.5, 1.0),
    noise=0.05,
    colours=False,
)


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    return digits.make(DATA)


def study_of(config: Regime) -> Study:
    crop = Branch(crop=Crop(scale=(0.5, 1.0)))
    branches: Augmentation = {
        branch: crop.model_copy(update={"views": views}) for branch, views in METHODS[config.method].branches.items()
    }
    return Study.model_construct(
        study="test",
        seeds=[0],
        data=DATA,
        augmentations={"a": branches},
        backbones={"b": backbone_of(config)},
        training=Training(device="cpu", snapshots=Snapshots(bank=10, queries=5, view_images=4, views=2, log_steps=[])),
        evaluation=Evaluation(),
        regimes={"r": config},
    )


@pytest.mark.parametrize(
    ("name", "guards"), CASES, ids=lambda case: case if isinstance(case, str) else "+".join(case) or "on"
)
def test_a_method_trains_with_and_without_its_guards(
    name: str, guards: tuple[str, ...], splits: dict[str, Split], tmp_path: Path
) -> None:
    on = (
        {"centering": True, "student_temperature": 0.2, "teacher_temperature": 0.1}
        if name == "token_distillation"
        else {}
    )
    values = {
        guard.parameter: getattr(off(name, guard.name), guard.parameter)
        for guard in METHODS[name].guards
        if guard.name in guards
    }
    if "sharpening" in guards and name == "token_distillation":
        values["teacher_temperature"] = on["student_temperature"]
    config = changed(name, epochs=1, batch_size=16, **(on | values))
    mean, std = channel_statistics(splits["train"].images)
    manifest = Manifest("digits", "test", digits.CLASSES, 32, {n: len(s) for n, s in splits.items()}, {}, mean, std)
    run_cell(Cell(study_of(config), "r", 0, torch.device("cpu")), splits, manifest, tmp_path)
    assert sorted(read_json(tmp_path / "config.json")["guards_off"]) == sorted(guards)
    history = read_csv(tmp_path / "history.csv")
    assert len(history) == 4 and all(math.isfinite(float(value)) for row in history for value in row.values())
    last = load_arrays(tmp_path / "snapshots" / "step-000004.safetensors")
    assert all(np.isfinite(array).all() for array in last.values() if array.dtype.kind == "f")


# ---- shared parts


def test_softmax_subtracts_the_centre_and_divides_by_the_temperature() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    out = Softmax(0.5, torch.tensor([1.0, 1.0, 1.0]))(logits)
    torch.testing.assert_close(out, torch.tensor([[0.0, 1.0, 3.0]]).div(0.5).softmax(-1))


@pytest.mark.parametrize("name", sorted(set(METHODS).difference(NEED_VIT, NEED_RESNET)))
def test_methods_of_vectors_take_either_backbone(name: str) -> None:
    for backbone in (RESNET, VIT):
        method = method_of(CONFIGS[name], backbone)
        assert torch.isfinite(method.loss(method(method.views(batch_for(method))))["loss"])


def test_a_presets_average_is_the_one_that_trains() -> None:
    config = type(CONFIGS["byol"])(**CONFIGS["byol"].model_dump(exclude={"ema", "preset"}), preset="scaled")
    assert config.ema == EMA(half_life=0.2)  # type: ignore[attr-defined]
    assert method_of(config).after_step(Progress(1, 40))["ema"] == pytest.approx(0.5**0.125)


@pytest.mark.parametrize("name", [name for name in METHODS if name != "supervised"])
def test_the_losses_of_cosines_are_those_that_verdicts_know(name: str) -> None:
    """A loss that reads directions alone doesn't see how long each image's vector is."""
    method = method_of(CONFIGS[name])
    outputs = method(method.views(batch_for(method)))
    scaled = {
        key: value * torch.rand(value.shape[:-1], generator=torch.Generator().manual_seed(1)).add(0.5)[..., None]
        for key, value in outputs.items()
    }
    before, after = (float(method.loss(found)["loss"].detach()) for found in (outputs, scaled))
    assert (abs(before - after) < 1e-5) == (name in DIRECTIONAL)
