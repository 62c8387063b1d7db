"""Schedules, snapshots and whole cells: exact, repeatable, and honest about eval mode."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.conftest import content
from torch import nn

from collapselab.config.data import Branch, Crop
from collapselab.config.study import Study
from collapselab.config.training import Optimiser, Schedule, Snapshots
from collapselab.data.augment import Normalisation
from collapselab.data.dataset import Manifest, Split
from collapselab.data.loader import Loader
from collapselab.errors import UserError
from collapselab.files import load_about, load_arrays, read_csv, read_json
from collapselab.methods.base import Method, Progress
from collapselab.training.cell import Cell, choose_device, run_cell
from collapselab.training.modes import evaluating
from collapselab.training.optimisers import LARS, build_optimiser, set_rate
from collapselab.training.schedules import learning_rate
from collapselab.training.snapshots import calibrate_batch_norm, due, make_probe, probe_rows, snapshot

CPU = torch.device("cpu")


def run(
    study: Study, regime: str, splits: dict[str, Split], manifest: Manifest, out: Path, seed: int = 0
) -> dict[str, bytes]:
    run_cell(Cell(study, regime, seed, CPU), splits, manifest, out)
    return content(out)


# ---- schedules


def test_warm_up_rises_linearly_then_half_a_cosine_falls_to_zero() -> None:
    rates = [learning_rate(2.0, Schedule(warmup=0.2), Progress(step, 10)) for step in range(10)]
    assert rates[:3] == [1.0, 2.0, 2.0]
    assert rates[6] == pytest.approx(1 + math.cos(math.pi * 0.5))
    assert rates == rates[:2] + sorted(rates[2:], reverse=True)
    assert {learning_rate(2.0, Schedule(decay="constant"), Progress(s, 10)) for s in range(10)} == {2.0}


def test_biases_and_norms_decay_nothing_and_group_rates_hold() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 2), nn.BatchNorm1d(2)

        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": list(self.a.parameters())}, {"params": list(self.b.parameters()), "rate": 10.0}]

    optimiser = build_optimiser(Two(), Optimiser(name="sgd", learning_rate=0.1, weight_decay=0.5))  # type: ignore[arg-type]
    set_rate(optimiser, 0.2)
    for group in optimiser.param_groups:
        matrices = {p.ndim > 1 for p in group["params"]}
        assert matrices == {group["weight_decay"] == 0.5}
        assert group["lr"] == pytest.approx(2.0 if group["rate"] == 10.0 else 0.2)


def weights_and_gradients(steps: int) -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
    rng = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (4,), (2, 3, 1)]
    draws = [[torch.randn(shape, generator=rng, dtype=torch.float64) for shape in shapes] for _ in range(steps + 1)]
    return draws[0], draws[1:]


@pytest.mark.parametrize("clip", [False, True])
def test_lars_equals_the_papers_algorithm_1_written_plainly(clip: bool) -> None:
    start, gradients = weights_and_gradients(5)
    parameters = [nn.Parameter(w.clone()) for w in start]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim == 1], "adapted": False},
    ]
    optimiser = LARS(groups, lr=0.3, momentum=0.9, trust=0.02, clip=clip)
    weights, velocities = [w.numpy().copy() for w in start], [np.zeros(w.shape) for w in start]
    for step, given in enumerate(gradients):
        gamma = 0.3 / (step + 1)
        for group in optimiser.param_groups:
            group["lr"] = gamma
        for p, g in zip(parameters, given, strict=True):
            p.grad = g.clone()
        optimiser.step()
        for number, g in enumerate(tensor.numpy() for tensor in given):
            w, decay = weights[number], 0.1 if weights[number].ndim > 1 else 0.0
            rate = gamma
            if w.ndim > 1:
                local = 0.02 * np.linalg.norm(w) / (np.linalg.norm(g) + decay * np.linalg.norm(w))
                rate = min(gamma, local) if clip else gamma * local
            velocities[number] = 0.9 * velocities[number] + rate * (g + decay * w)
            weights[number] = w - velocities[number]
    for p, w in zip(parameters, weights, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), w, rtol=1e-12)


def test_a_lars_step_has_the_length_that_trust_names_and_zeros_still_move() -> None:
    (weight, bias, _), ((gradient, slope, _),) = weights_and_gradients(1)
    for scale in (1.0, 1e6):  # whatever the gradient's scale
        parameter = nn.Parameter(weight.clone())
        parameter.grad = gradient * scale
        LARS([parameter], lr=0.5, trust=0.001).step()
        moved = (parameter.detach() - weight).norm() / weight.norm()
        assert float(moved) == pytest.approx(0.5 * 0.001)
    zeros = nn.Parameter(torch.zeros_like(bias))
    zeros.grad = slope
    LARS([zeros], lr=0.5).step()
    torch.testing.assert_close(zeros.detach(), -0.5 * slope)


def test_lars_is_made_from_the_config_and_leaves_biases_and_norms_alone() -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": list(self.parameters())}]

    config = Optimiser(name="lars", learning_rate=0.1, weight_decay=0.5, trust=0.02, clip=True)
    optimiser = build_optimiser(One(), config)  # type: ignore[arg-type]
    assert isinstance(optimiser, LARS)
    seen = [(g["adapted"], g["weight_decay"], g["trust"], g["clip"], len(g["params"])) for g in optimiser.param_groups]
    assert seen == [(True, 0.5, 0.02, True, 1), (False, 0.0, 0.02, True, 3)]


def test_snapshots_are_due_at_the_start_early_on_at_epochs_ends_and_at_the_end() -> None:
    config = Snapshots(bank=1, queries=1, view_images=2, log_steps=[0, 1, 2, 5, 500], epoch_interval=2)
    assert due(config, steps=70, per_epoch=10) == {0, 1, 2, 5, 20, 40, 60, 70}


def test_an_absent_device_is_named() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"training\.device = 'cuda'"):
            choose_device("cuda")
    assert choose_device("cpu") == CPU


# ---- batches


def loader(images: torch.Tensor, batch: int, *, shuffle: bool) -> Loader:
    augmentation = {"view": Branch(views=2, crop=Crop(scale=(0.5, 1.0)))}
    labels = torch.arange(len(images))
    return Loader(images, labels, augmentation, Normalisation.of([0.5] * 3, [0.2] * 3), batch, seed=3, shuffle=shuffle)


def test_an_epoch_visits_each_image_once_and_its_draws_do_not_depend_on_the_batch() -> None:
    images = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8)
    seen = {}
    for size in (4, 8):
        batches = list(loader(images, size, shuffle=True).epoch(1))
        rows = torch.cat([batch.labels for batch in batches])
        assert sorted(rows.tolist()) == list(range(24)) and rows.tolist() != list(range(24))
        views = torch.cat([batch.images["view"][1] for batch in batches])
        seen[size] = views[rows.argsort()]
    torch.testing.assert_close(seen[4], seen[8], atol=1e-5, rtol=0)


def test_orders_differ_between_epochs_and_not_between_runs() -> None:
    images = torch.zeros((64, 3, 32, 32), dtype=torch.uint8)
    orders = [torch.cat([b.labels for b in loader(images, 8, shuffle=True).epoch(e)]).tolist() for e in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    fixed = torch.cat([b.labels for b in loader(images, 8, shuffle=False).epoch(5)]).tolist()
    assert fixed == list(range(64))


def test_a_methods_own_draws_are_addressed_by_epoch_purpose_and_image() -> None:
    images = torch.zeros((12, 3, 8, 8), dtype=torch.uint8)

    def drawn(size: int, epoch: int, purpose: str) -> torch.Tensor:
        batches = list(loader(images, size, shuffle=True).epoch(epoch))
        rows = torch.cat([batch.labels for batch in batches])
        return torch.cat([batch.uniforms(purpose, 5) for batch in batches])[rows.argsort()]

    masks = drawn(4, 0, "masks")
    assert masks.shape == (12, 5) and torch.equal(masks, drawn(6, 0, "masks"))
    assert not torch.equal(masks, drawn(4, 1, "masks")) and not torch.equal(masks, drawn(4, 0, "others"))


# ---- cells


@pytest.mark.parametrize("regime", ["simsiam", "distillation", "supervised"])
def test_a_cell_gives_the_same_bytes_twice(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path, regime: str
) -> None:
    first = run(study, regime, splits, manifest, tmp_path / "a")
    torch.rand(7)  # whatever else consumes the global generator changes nothing
    assert run(study, regime, splits, manifest, tmp_path / "b") == first
    other = run(study, regime, splits, manifest, tmp_path / "c", seed=1)
    assert other["weights.safetensors"] != first["weights.safetensors"]


def test_cells_on_a_cpu_are_not_compiled(study: Study, manifest: Manifest) -> None:
    asked = study.model_copy(update={"training": study.training.model_copy(update={"compile": True})})
    normalise = Normalisation.of(manifest.mean, manifest.std)
    for device, named in (("cpu", False), ("cuda", True)):
        there = Cell(asked, "simsiam", 0, torch.device(device)).describe(manifest, normalise)
        plain = Cell(study, "simsiam", 0, torch.device(device)).describe(manifest, normalise)
        assert there == plain | ({"compile": True} if named else {})


def test_autocast_runs_the_networks_in_half_the_bits_and_is_named_where_it_is_on(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    half = study.model_copy(update={"training": study.training.model_copy(update={"autocast": "bfloat16"})})
    for name, chosen in (("full", study), ("half", half)):
        run_cell(Cell(chosen, "simsiam", 0, torch.device("cpu")), splits, manifest, tmp_path / name)
    configs = {name: read_json(tmp_path / name / "config.json") for name in ("full", "half")}
    assert configs["half"] == configs["full"] | {"autocast": "bfloat16"}
    losses = [float(read_csv(tmp_path / name / "history.csv")[0]["loss"]) for name in ("full", "half")]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], abs=0.02)


def test_a_cell_leaves_what_the_contract_names(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    files = run(study, "distillation", splits, manifest, tmp_path)
    steps = read_json(tmp_path / "config.json")["steps"]
    assert {
        "config.json",
        "history.csv",
        "weights.safetensors",
        "features-initial.safetensors",
        "features-final.safetensors",
    } <= set(files)
    assert {f"snapshots/step-{step:06d}.safetensors" for step in (0, 1, steps)} <= set(files)
    history = read_csv(tmp_path / "history.csv")
    assert [int(row["step"]) for row in history] == list(range(1, steps + 1))
    assert set(history[0]) == {"step", "epoch", "learning_rate", "loss", "teacher_entropy", "kl", "ema"}
    last = tmp_path / f"snapshots/step-{steps:06d}.safetensors"
    arrays, config = load_arrays(last), study.training.snapshots
    probe = config.bank + config.queries
    assert arrays["eval/clean/image/student.logits"].shape == (probe, 8)
    assert arrays["eval/augmented/image/student.logits"].shape == (config.view_images, config.views, 8)
    assert arrays["eval/clean/position/teacher.logits"].shape == (16, 8)
    assert arrays["eval/clean/moment/teacher.logits"].shape == (8, 8)
    np.testing.assert_allclose(arrays["eval/clean/probability/student.logits"].sum(1), 1, atol=1e-5)
    assert load_about(last)["representation"] == "student.representation"
    assert arrays["bank"].sum() == config.bank


def test_a_snapshot_is_taken_in_eval_mode_and_leaves_no_trace(
    study: Study, splits: dict[str, Split], manifest: Manifest
) -> None:
    from collapselab.methods import build

    torch.manual_seed(0)
    method = build(study.regimes["distillation"], study.backbones["vit"], 32, 10).train()
    normalise = Normalisation.of(manifest.mean, manifest.std)
    images = torch.from_numpy(splits["validation"].images)
    probe = make_probe(
        splits["validation"], images, study.training.snapshots, study.augmentations["pair"], normalise, 0
    )
    state = {name: value.clone() for name, value in method.state_dict().items()}
    first, second = snapshot(method, probe, normalise), snapshot(method, probe, normalise)
    assert all(np.array_equal(first[key], second[key]) for key in first)  # dropout is off
    assert method.training and all(torch.equal(value, state[name]) for name, value in method.state_dict().items())
    alone = method.eval().features(
        (images[:5].float() / 255 - normalise.mean[:, None, None]) / normalise.std[:, None, None]
    )
    mean = alone["student.logits"].mean(1).detach().numpy()
    np.testing.assert_allclose(first["eval/clean/image/student.logits"][:5], mean, atol=1e-5)


def test_token_sums_are_those_of_the_tokens(study: Study, splits: dict[str, Split], manifest: Manifest) -> None:
    from collapselab.methods import build

    torch.manual_seed(0)
    method = build(study.regimes["distillation"], study.backbones["vit"], 32, 10)
    normalise = Normalisation.of(manifest.mean, manifest.std)
    images = torch.from_numpy(splits["validation"].images)
    probe = make_probe(
        splits["validation"], images, study.training.snapshots, study.augmentations["pair"], normalise, 0
    )
    arrays = snapshot(method, probe, normalise)
    with evaluating(method):
        tokens = method.features(
            (probe.images.float() / 255 - normalise.mean[:, None, None]) / normalise.std[:, None, None]
        )["student.logits"]
    flat = tokens.flatten(0, 1).double().numpy()
    p = tokens.double().softmax(-1)
    np.testing.assert_allclose(arrays["eval/clean/moment/student.logits"], flat.T @ flat / len(flat), rtol=1e-5)
    np.testing.assert_allclose(arrays["eval/clean/position/student.logits"], tokens.mean(0).numpy(), atol=1e-5)
    np.testing.assert_allclose(arrays["eval/clean/probability/student.logits"], p.mean(1).numpy(), atol=1e-6)
    entropy = -(p * p.log()).sum(-1).mean(1).numpy()
    np.testing.assert_allclose(arrays["eval/clean/entropy/student.logits"], entropy, atol=1e-5)


def test_calibrated_batch_norm_normalises_clean_training_images(
    study: Study, splits: dict[str, Split], manifest: Manifest
) -> None:
    from collapselab.methods import build

    torch.manual_seed(0)
    method: Method = build(study.regimes["simsiam"], study.backbones["resnet"], 32, 10)
    normalise = Normalisation.of(manifest.mean, manifest.std)
    images = torch.from_numpy(splits["train"].images)
    calibrate_batch_norm(method, images, normalise)
    inputs: list[torch.Tensor] = []
    norm = method.backbone.bn  # type: ignore[union-attr]
    handle = norm.register_forward_hook(lambda module, given, out: inputs.append(out.clone()))  # type: ignore[union-attr]
    with evaluating(method):
        method.features((images.float() / 255 - normalise.mean[:, None, None]) / normalise.std[:, None, None])
    handle.remove()
    spread = torch.cat(inputs).transpose(0, 1).flatten(1)
    torch.testing.assert_close(spread.mean(1), torch.zeros(4), atol=0.05, rtol=0)
    torch.testing.assert_close(spread.std(1), torch.ones(4), atol=0.05, rtol=0)
    assert norm.momentum == 0.1  # type: ignore[union-attr]


def test_a_loss_that_is_not_finite_stops_with_regime_and_step(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    wild = study.regimes["simsiam"].model_copy(update={"optimiser": Optimiser(name="sgd", learning_rate=1e30)})
    broken = study.model_copy(update={"regimes": {"simsiam": wild}})
    with pytest.raises(UserError, match=r"regime simsiam, seed 0: the loss is .* at step"):
        run_cell(Cell(broken, "simsiam", 0, CPU), splits, manifest, tmp_path)


def test_train_mode_snapshots_see_dropout_and_leave_no_trace(
    study: Study, splits: dict[str, Split], manifest: Manifest
) -> None:
    from collapselab.methods import build

    normalise = Normalisation.of(manifest.mean, manifest.std)
    images = torch.from_numpy(splits["validation"].images)
    for regime, backbone, augmentation in (("distillation", "vit", "pair"), ("simsiam", "resnet", "crops")):
        torch.manual_seed(0)
        method = build(study.regimes[regime], study.backbones[backbone], 32, 10)
        probe = make_probe(
            splits["validation"], images, study.training.snapshots, study.augmentations[augmentation], normalise, 0
        )
        before = {name: value.clone() for name, value in method.state_dict().items()}
        arrays = snapshot(method, probe, normalise, ("eval", "train"))
        layer = method.representation
        assert not np.allclose(arrays[f"eval/clean/image/{layer}"], arrays[f"train/clean/image/{layer}"])
        assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_no_original_is_both_in_the_bank_and_among_the_queries(study: Study, splits: dict[str, Split]) -> None:
    config = study.training.snapshots
    bank, queries = probe_rows(splits["validation"], config)
    original = splits["validation"].factors["original"]
    assert len(bank) == config.bank and len(queries) == config.queries
    assert not set(original[bank]) & set(original[queries])
    with pytest.raises(UserError, match=r"snapshots\.bank = 59: the 60 validation images hold"):
        probe_rows(splits["validation"], config.model_copy(update={"bank": 59}))


def test_plain_splits_are_cut_in_their_own_order() -> None:
    split = Split(np.zeros((9, 3, 8, 8), dtype=np.uint8), np.zeros(9, dtype=np.int64))
    bank, queries = probe_rows(split, Snapshots(bank=6, queries=3, view_images=2))
    assert bank.tolist() == [0, 1, 2, 3, 4, 5] and queries.tolist() == [6, 7, 8]


@pytest.mark.parametrize("count", [257, 40])
def test_calibration_takes_any_number_of_images(study: Study, manifest: Manifest, count: int) -> None:
    from collapselab.methods import build

    method = build(study.regimes["simsiam"], study.backbones["resnet"], 32, 10)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    calibrate_batch_norm(method, images, Normalisation.of(manifest.mean, manifest.std))
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_a_batch_larger_than_the_data_is_named(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    few = splits | {"train": Split(splits["train"].images[:20], splits["train"].labels[:20])}
    with pytest.raises(UserError, match=r"regimes\.simsiam\.batch_size = 32: more than the data set's 20"):
        run_cell(Cell(study, "simsiam", 0, CPU), few, manifest, tmp_path)
