"""Averages of gradients: closed forms, a second version, and that training never notices."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.oracles.plain import gradient_averages
from tests.training.test_training import run
from torch import Tensor, nn

from collapselab.collapse.snapshot import read_snapshot
from collapselab.config.study import Study
from collapselab.data.dataset import Manifest, Split
from collapselab.errors import UserError
from collapselab.files import load_about, load_arrays, read_json
from collapselab.training.gradients import GradientStatistics


class Small(nn.Module):
    """Two weight layers, one of two parameters, and one that is not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
        self.teacher = nn.Linear(3, 2).requires_grad_(False)
        self.scale = nn.Parameter(torch.ones(2))


def feed(method: nn.Module, statistics: GradientStatistics, steps: int, seed: int = 0) -> list[dict[str, Tensor]]:
    """Random gradients around a mean, step after step."""
    generator = torch.Generator().manual_seed(seed)
    given = []
    for _ in range(steps):
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.grad = 0.5 + torch.randn(parameter.shape, generator=generator)
        statistics.update()
        given.append({name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None})
    return given


def values(statistics: GradientStatistics) -> dict[str, float]:
    return {key: float(value[0]) for key, value in statistics.arrays().items()}


def test_layers_are_the_modules_that_own_what_is_trained() -> None:
    assert GradientStatistics(Small()).layers == ["method", "body.0", "body.2"]


def test_nothing_is_known_at_the_start_and_no_noise_after_one_step() -> None:
    method = Small()
    statistics = GradientStatistics(method)
    assert statistics.arrays() == {}
    (given,) = feed(method, statistics, 1)
    found = values(statistics)
    assert set(found) == {"gradient/norm/method", "gradient/norm/body.0", "gradient/norm/body.2"}
    both = torch.cat([given["body.0.weight"].flatten(), given["body.0.bias"]])
    assert found["gradient/norm/body.0"] == pytest.approx(float(both.norm()), rel=1e-6)
    assert all(value.shape == (1,) and value.dtype == np.float64 for value in statistics.arrays().values())


def test_equal_gradients_have_their_norm_and_no_noise() -> None:
    method = Small()
    statistics = GradientStatistics(method)
    for _ in range(30):
        method.scale.grad = torch.tensor([3.0, 4.0])
        statistics.update()
    assert values(statistics)["gradient/norm/method"] == pytest.approx(5, rel=1e-5)
    assert not [
        key for key in values(statistics) if key.startswith("gradient/snr/")
    ]  # the others have no gradient: zeros


def test_signal_to_noise_of_two_steps() -> None:
    """Weights .9 and 1 over 1.9: gradients 2 and 3 have E g = 4.8 / 1.9 and E g^2 = 12.6 / 1.9, and r = 1.81 / 1.9^2."""
    method = nn.Linear(1, 1, bias=False)
    statistics = GradientStatistics(method)
    for gradient in (2.0, 3.0):
        method.weight.grad = torch.tensor([[gradient]])
        statistics.update()
    mean, square = 4.8 / 1.9, 12.6 / 1.9
    found = values(statistics)
    assert found["gradient/norm/method"] == pytest.approx(sqrt(square), rel=1e-6)
    expected = (mean**2 - 1.81 / 1.9**2 * square) / (square - mean**2)
    assert found["gradient/snr/method"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("signal", [0.0, 0.5])
@pytest.mark.parametrize("steps", [2, 5, 60])
def test_the_ratio_is_that_of_the_source_from_the_second_step_on(steps: int, signal: float) -> None:
    """Entries of mean `signal` and variance 1: ||E g||^2 / tr(Sigma) = signal^2, whatever the average keeps of the noise."""
    method = nn.Linear(500, 500, bias=False)
    statistics = GradientStatistics(method)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        method.weight.grad = signal + torch.randn(500, 500, generator=generator)
        statistics.update()
    assert values(statistics)["gradient/snr/method"] == pytest.approx(signal**2, abs=0.01)


@pytest.mark.parametrize("steps", [1, 2, 3, 17])
def test_both_versions_agree(steps: int) -> None:
    method = Small()
    statistics = GradientStatistics(method)
    given = feed(method, statistics, steps)
    found = values(statistics)
    for layer, names in {
        "method": ["scale"],
        "body.0": ["body.0.weight", "body.0.bias"],
        "body.2": ["body.2.weight"],
    }.items():
        norm, ratio = gradient_averages([np.concatenate([g[name].numpy().ravel() for name in names]) for g in given])
        assert found[f"gradient/norm/{layer}"] == pytest.approx(norm, rel=1e-5)
        assert found.get(f"gradient/snr/{layer}") == (None if steps == 1 else pytest.approx(ratio, rel=1e-3))


def test_a_parameter_without_a_gradient_counts_as_zero() -> None:
    method = nn.Linear(1, 1, bias=False)
    statistics = GradientStatistics(method)
    method.weight.grad = torch.tensor([[2.0]])
    statistics.update()
    method.weight.grad = None
    statistics.update()
    assert values(statistics)["gradient/norm/method"] == pytest.approx(sqrt(0.9 * 4 / 1.9), rel=1e-6)


def test_gradients_that_overflow_leave_their_layer_out() -> None:
    method = Small()
    statistics = GradientStatistics(method)
    feed(method, statistics, 2)
    method.scale.grad = torch.full((2,), 1e30)
    statistics.update()
    assert "gradient/norm/body.0" in values(statistics) and "gradient/norm/method" not in values(statistics)


def test_restored_averages_go_on_with_the_same_bits() -> None:
    method = Small()
    whole, first = GradientStatistics(method), GradientStatistics(method)
    feed(method, first, 5)
    feed(method, whole, 5)
    state = {name: value.clone() for name, value in first.state().items()}
    second = GradientStatistics(method)
    second.restore(state)
    feed(method, second, 7, seed=1)
    feed(method, whole, 7, seed=1)
    assert second.step == whole.step == 12
    assert all(torch.equal(value, whole.state()[name]) for name, value in second.state().items())
    assert second.arrays() == whole.arrays()
    assert first.step == 5 and all(torch.equal(value, state[name]) for name, value in first.state().items())


def test_averages_of_another_network_are_refused() -> None:
    state = GradientStatistics(nn.Linear(3, 2)).state()
    for other in (nn.Linear(2, 2), nn.Linear(3, 2, bias=False)):
        with pytest.raises(UserError, match="another network"):
            GradientStatistics(other).restore(state)


# ---- in training


@pytest.mark.parametrize("regime", ["simsiam", "distillation"])
def test_training_gives_the_same_bits_with_and_without(
    study: Study,
    splits: dict[str, Split],
    manifest: Manifest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    regime: str,
) -> None:
    observed = run(study, regime, splits, manifest, tmp_path / "with")
    monkeypatch.setattr(GradientStatistics, "update", lambda self: None)
    alone = run(study, regime, splits, manifest, tmp_path / "without")
    for file in ("weights.safetensors", "history.csv", "features-final.safetensors"):
        assert observed[file] == alone[file]
    last = max(name for name in observed if name.startswith("snapshots/"))
    assert observed[last] != alone[last]


def test_snapshots_hold_each_weight_layer(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    run(study, "distillation", splits, manifest, tmp_path)
    steps = read_json(tmp_path / "config.json")["steps"]
    start, first, last = (tmp_path / f"snapshots/step-{step:06d}.safetensors" for step in (0, 1, steps))
    layers = load_about(last)["weight_layers"]
    assert layers[:2] == ["student.0", "student.0.patches"] and layers[-1] == "student.1.5"
    assert not any(layer.startswith("teacher") for layer in layers)  # no gradient reaches it
    found = [{key for key in load_arrays(path) if key.startswith("gradient/")} for path in (start, first, last)]
    norms, ratios = ({f"gradient/{what}/{layer}" for layer in layers} for what in ("norm", "snr"))
    assert found == [set(), norms, norms | ratios]
    evidence = [read_snapshot(path).layers["student.representation"] for path in (start, first, last)]
    assert evidence[0].gradient_norms is None and evidence[1].gradient_snrs is None
    assert list(evidence[2].gradient_norms or ()) == list(evidence[2].gradient_snrs or ()) == layers
    assert read_snapshot(last).layers["student.logits"].gradient_norms is None
