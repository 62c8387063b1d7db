"""Targets: where gradient stops, and how moving averages follow."""

from __future__ import annotations

import pytest
import torch
from tests.methods.helpers import CONFIGS, batch_for, changed, method_of
from torch import nn

from collapselab.config.training import EMA
from collapselab.methods.base import Method, Progress
from collapselab.methods.momentum import cosine_between, follower, kept, move_towards

TARGETS = {"byol": "target", "moco_v3": "target", "dino": "teacher", "ijepa": "target"}


def target_of(method: Method) -> nn.Module:
    return method.get_submodule(TARGETS[method.name])


def online_of(method: Method) -> nn.Module:
    """The trained networks that the target follows."""
    if method.name == "dino":
        return method.get_submodule("student")
    parts = ["backbone"] if method.name == "ijepa" else ["backbone", "projector"]
    return nn.Sequential(*(method.get_submodule(part) for part in parts))


def test_a_moving_average_and_its_schedules() -> None:
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = 0.7 * a.weight + 0.3 * b.weight
    move_towards(a, b, 0.7)
    torch.testing.assert_close(a.weight, expected)
    for place, value in ((0.0, 0.996), (0.5, 0.998), (1.0, 1.0)):
        assert cosine_between(0.996, 1.0, place) == pytest.approx(value)
    assert kept(EMA(start=0.996, end=1.0), Progress(5, 10)) == pytest.approx(0.998)
    quarter = Progress(1, 4)
    assert kept(EMA(start=0.9, end=1.0, curve="linear"), quarter) == pytest.approx(0.925)
    assert kept(EMA(start=0.9, end=1.0), quarter) == pytest.approx(0.9 + 0.1 * (1 - 2**-0.5) / 2)


@pytest.mark.parametrize("steps", [10, 1000])
def test_after_its_half_life_half_of_an_average_is_new(steps: int) -> None:
    average, source = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    nn.init.zeros_(average.weight)
    nn.init.ones_(source.weight)
    for step in range(steps // 5):
        move_towards(average, source, kept(EMA(half_life=0.2), Progress(step, steps)))
    torch.testing.assert_close(average.weight, torch.full((1, 2), 0.5))


def test_a_follower_is_a_copy_that_no_gradient_reaches() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    target = follower(network)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), target.parameters(), strict=True))
    assert not any(p.requires_grad for p in target.parameters()) and all(p.requires_grad for p in network.parameters())
    assert not {p.data_ptr() for p in network.parameters()} & {p.data_ptr() for p in target.parameters()}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_gradient_stops_at_the_target(name: str) -> None:
    method = method_of(CONFIGS[name])
    # Frozen weights have no gradient in any case; only the loss's own stop may keep it off these.
    target_of(method).requires_grad_(True)
    method.loss(method(method.views(batch_for(method))))["loss"].backward()
    assert all(p.grad is None for p in target_of(method).parameters())
    trained = [p for p in method.parameters() if p.requires_grad]
    assert sum(float(p.grad.abs().sum()) for p in trained if p.grad is not None) > 0


def backbone_gradient(method: Method, *, detach: bool) -> torch.Tensor:
    """Of the loss, with the targets' values taken as constants where `detach` says so."""
    outputs = method(method.views(batch_for(method)))
    if detach:
        outputs |= {key: outputs[key].detach() for key in ("z1", "z2", "target") if key in outputs}
    method.zero_grad()
    method.loss(outputs)["loss"].backward()
    return torch.cat([p.grad.flatten() for p in method.get_submodule("backbone").parameters() if p.grad is not None])


@pytest.mark.parametrize("name", ["byol", "ijepa"])
def test_without_stop_gradient_the_online_network_is_its_own_target(name: str) -> None:
    # In eval mode and at the start, the target and the online network give the same values.
    stopped = backbone_gradient(method_of(CONFIGS[name]).eval(), detach=False)
    flowing = method_of(changed(name, stop_gradient=False)).eval()
    torch.testing.assert_close(backbone_gradient(flowing, detach=True), stopped)
    through_both = backbone_gradient(flowing, detach=False)
    assert (through_both - stopped).norm() > 0.1 * stopped.norm()


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_targets_follow_as_their_keys_say(name: str) -> None:
    switch, off = ("teacher", "copy") if name == "dino" else ("target", "online")
    for value, keep in (("ema", 0.9), (off, 0.0)):
        method = method_of(changed(name, **{switch: value, "ema": EMA(start=0.9, end=0.9)}))
        with torch.no_grad():
            for p in online_of(method).parameters():
                p.add_(torch.randn_like(p))
        before = [p.clone() for p in target_of(method).parameters()]
        assert method.after_step(Progress(1, 10))["ema"] == pytest.approx(keep)
        pairs = zip(before, target_of(method).parameters(), online_of(method).parameters(), strict=True)
        for old, new, online in pairs:
            torch.testing.assert_close(new, keep * old + (1 - keep) * online)


def test_published_rates_move_little_in_a_short_run_and_scaled_ones_do() -> None:
    for name in TARGETS:
        for preset, low, high in (("published", 0.5, 1.0), ("scaled", 0.0, 0.05)):
            config = type(CONFIGS[name])(**CONFIGS[name].model_dump(exclude={"ema", "preset"}), preset=preset)
            share = 1.0
            for step in range(40):
                share *= kept(config.ema, Progress(step, 40))  # type: ignore[attr-defined]
            assert low < share < high
