"""What a loop gets from the monitor: names, warnings with kind and step, hints of the loss, and what it says of itself."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import pytest
import torch
from torchmetrics import MetricCollection

from collapselab.collapse.registry import load_metrics
from collapselab.errors import UserError
from collapselab.monitor import CollapseMonitor, CollapseWarning
from collapselab.monitor.averages import METRICS

BROKEN = 80  # the step from which the streams below have collapsed


def draw(step: int, n: int = 96, d: int = 32, remnant: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    left = 1.0 if step < BROKEN else remnant
    return 0.5 + left * torch.randn(n, d, generator=generator) * torch.arange(1, d + 1) ** -0.4


def run(remnant: float, steps: int = 160, **options: Any) -> CollapseMonitor:
    monitor = CollapseMonitor(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)
        for step in range(steps):
            monitor.update(draw(step, remnant=remnant))
    return monitor


def test_complete_collapse_is_named_at_the_third_reading_after_it() -> None:
    monitor = run(1e-3)
    assert [(warned.kind, warned.step, warned.standing) for warned in monitor.warnings] == [("complete", 100, True)]
    assert monitor.compute()["alarms"] == 1 and monitor.compute()["pressure"] > 1
    assert "complete collapse named at step 100" in monitor.report()
    assert "complete collapse named at step 100" in monitor.diagnosis().sentence


def test_a_healthy_stream_is_left_in_peace() -> None:
    monitor = run(1.0)
    assert monitor.warnings == [] and monitor.compute()["pressure"] < 1
    assert "no collapse was named up to step 159" in monitor.report()


def test_a_loop_that_never_asks_hears_of_it() -> None:
    monitor = CollapseMonitor("projector")
    with pytest.warns(CollapseWarning, match="projector: complete collapse named at step 100"):
        for step in range(BROKEN + 30):
            monitor.update(draw(step, remnant=1e-3))


def test_steps_may_be_the_loops_own() -> None:
    monitor = CollapseMonitor()
    with pytest.warns(CollapseWarning):
        for step in range(BROKEN + 30):
            monitor.update(draw(step, remnant=1e-3), step=5000 + 2 * step)
    assert monitor.warnings[0].step == 5200


def test_a_softmax_that_gives_one_class_is_named_one_hot() -> None:
    monitor = CollapseMonitor(temperature=0.5)
    with pytest.warns(CollapseWarning, match="one-hot"):
        for step in range(160):
            logits = 3 * draw(step, d=16)
            logits[:, 0] += 60 * (step >= BROKEN)
            monitor.update(draw(step), logits=logits)
    assert monitor.warnings[0].kind == "one-hot"


def test_the_other_view_lets_nuisance_be_named() -> None:
    monitor = CollapseMonitor()
    with pytest.warns(CollapseWarning, match="nuisance"):
        for step in range(160):
            content = draw(step) if step < BROKEN else torch.zeros(96, 32)
            noise = torch.randn(2, 96, 32, generator=torch.Generator().manual_seed(10**6 + step))
            monitor.update(content + 0.5 * noise[0], view=content + 0.5 * noise[1])
    assert {warned.kind for warned in monitor.warnings} == {"nuisance"}


def test_logits_become_the_softmax_at_the_temperature() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]))
    monitor = CollapseMonitor(temperature=1.0)
    monitor.update(torch.randn(2, 4), logits=logits)
    expected = 1.5 * math.log(2)  # -(1/2 ln 1/2 + 2 * 1/4 ln 1/4)
    assert monitor.compute()["mean_entropy"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "kind"), [(-1.0, "complete"), (math.log(64), "uniform"), (math.log(4096), ""), (-0.6, "")]
)
def test_the_loss_is_a_hint_and_never_an_alarm(loss: float, kind: str) -> None:
    monitor = CollapseMonitor()
    for step in range(40):
        monitor.update(draw(step), loss=torch.tensor(loss), logits=draw(step, d=64))
    assert [signature.kind for signature in monitor.signatures()] == ([kind] if kind else [])
    assert monitor.warnings == []
    assert ("the loss hints at" in monitor.report()) == bool(kind)


def test_terms_of_the_loss_are_read_by_name() -> None:
    monitor = CollapseMonitor()
    for step in range(40):
        terms = {"loss": torch.tensor(25.0), "variance": torch.tensor(1.98), "covariance": torch.tensor(0.0)}
        monitor.update(draw(step), loss=terms)
    assert [signature.kind for signature in monitor.signatures()] == ["complete"]


def test_not_a_number_is_told_and_changes_nothing_else() -> None:
    clean, monitor = CollapseMonitor(window=4), CollapseMonitor(window=4)
    with pytest.warns(CollapseWarning, match="NaN, infinity or numbers too large to square at step 10"):
        for step in range(31):
            batch = draw(step)
            if step in (10, 13):
                monitor.update(batch.index_fill(0, torch.tensor([3]), math.nan if step == 10 else math.inf))
            else:
                monitor.update(batch)
                clean.update(batch, step=step)
    found, expected = monitor.compute(), clean.compute()
    assert found["skipped"] == 2
    assert {name: found[name] for name in METRICS} == {name: expected[name] for name in METRICS}
    assert (
        "2 batches left out, with NaN, infinity or numbers too large to square, the first at step 10"
        in monitor.report()
    )


@pytest.mark.parametrize(("given", "told"), [("view", "the other view"), ("logits", "the softmax")])
def test_a_collapse_is_named_beside_an_input_that_cannot_be_read(given: str, told: str) -> None:
    monitor = CollapseMonitor()
    with pytest.warns(CollapseWarning) as caught:
        for step in range(160):
            batch = draw(step, remnant=1e-3)
            other = batch + 0.01 * draw(step + 1000, remnant=1e-3)
            other[0, 0] = math.inf if step >= 40 else other[0, 0]
            monitor.update(batch, **{given: other})
    lost = f"embedding: NaN or infinity in {told}, first at step 40: such readings do without it"
    assert [str(warning.message) for warning in caught if "infinity" in str(warning.message)] == [
        f"{lost}; find what made them"
    ]
    assert "complete" in {warned.kind for warned in monitor.warnings}
    assert monitor.compute()["skipped"] == 0
    assert lost in monitor.report()


def test_a_batch_whose_squares_overflow_ends_nothing() -> None:
    """A norm that explodes is a kind the monitor names, and averages go on where it comes back."""
    monitor = CollapseMonitor(window=4)
    with pytest.warns(CollapseWarning) as caught:
        for step in range(160):
            monitor.update(draw(step) * (1e20 if 60 <= step < 100 else 1.0))
        found = monitor.compute()
    assert found["skipped"] == 40 and 20 < found["effective_rank"] < 32
    assert any("norm collapse named" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("sizes", [(256, 32), (128, 100), (120, 64), (32, 96)])
def test_a_batch_of_another_size_is_no_collapse(sizes: tuple[int, int]) -> None:
    monitor = CollapseMonitor(every=2)
    for step in range(240):
        monitor.update(draw(step, n=sizes[step >= 120], d=128))
    assert monitor.warnings == [] and monitor.compute()["pressure"] < 1


def test_a_collapse_is_named_beside_short_last_batches() -> None:
    monitor = CollapseMonitor(every=2)
    with pytest.warns(CollapseWarning, match="complete"):
        for step in range(160):
            monitor.update(draw(step, n=24 if step % 16 == 14 else 96, remnant=1e-3))
    assert [warned.kind for warned in monitor.warnings if warned.standing] == ["complete"]


def test_losses_in_one_buffer_are_told_apart() -> None:
    buffer, kept, given = torch.zeros(()), CollapseMonitor(), CollapseMonitor()
    for step in range(60):
        buffer.fill_(4 - step / 12)
        kept.update(draw(step), loss=buffer)
        given.update(draw(step), loss=4 - step / 12)
    assert kept.signatures() == given.signatures() == []


def test_a_model_that_is_cast_takes_its_monitor_along() -> None:
    monitor = CollapseMonitor()
    for kind in (torch.float32, torch.bfloat16, torch.float64, torch.float32):
        monitor.to(kind).set_dtype(kind)
        for step in range(3):
            monitor.update(draw(step).to(kind))
    assert 20 < monitor.compute()["effective_rank"] < 32


def test_a_compiled_step_may_hold_a_monitor() -> None:
    monitor = CollapseMonitor()
    layer = torch.nn.Linear(32, 32)

    def step(x: torch.Tensor) -> torch.Tensor:
        z = layer(x)
        monitor.update(z)
        return z.sum()

    torch.compile(step, backend="eager")(draw(0))
    assert monitor.compute()["effective_rank"] > 1


def test_not_a_number_between_two_readings_is_told_by_compute() -> None:
    monitor = CollapseMonitor()
    for step in range(5):
        monitor.update(draw(step) if step != 3 else torch.full((96, 32), math.nan))
    with pytest.warns(CollapseWarning, match="too large to square at step 3"):
        assert monitor.compute()["skipped"] == 1


def test_values_carry_the_registrys_names_and_are_floats() -> None:
    monitor = run(1.0, steps=30)
    found = monitor.compute()
    assert set(found) - {"pressure", "alarms", "skipped"} <= set(load_metrics())
    assert set(METRICS) <= set(found) and all(type(value) is float for value in found.values())


def test_it_says_what_features_it_saw() -> None:
    trained, evaluated, doubtful = CollapseMonitor(), CollapseMonitor(mode="eval"), CollapseMonitor()
    trained.update(draw(0).requires_grad_())
    evaluated.update(draw(0))
    doubtful.update(draw(0))
    assert trained.report().endswith("ranks and spreads read higher than in eval mode")
    assert "eval-mode features" in evaluated.report() and "gradients" not in evaluated.report()
    assert "none carried a gradient" in doubtful.report()
    assert any("train-mode features" in text for text in trained.diagnosis().warnings)


def test_nothing_of_the_graph_is_kept() -> None:
    monitor = CollapseMonitor()
    batch = draw(0).requires_grad_()
    monitor.update(2 * batch, view=3 * batch, loss=batch.sum())
    states = [getattr(monitor, name) for name in monitor._defaults]
    assert not any(state.requires_grad for state in states) and batch.grad is None


def test_forward_updates_and_gives_the_windows_values() -> None:
    monitor, other = CollapseMonitor(), CollapseMonitor()
    for step in range(3):
        found = monitor(draw(step))
        other.update(draw(step))
    assert found == other.compute()


def test_a_collection_takes_it_by_name() -> None:
    collection = MetricCollection({"watch": CollapseMonitor()}, prefix="train/")
    collection.update(draw(0))
    assert collection.compute()["train/effective_rank"] > 1


def test_reset_forgets_the_marks_too() -> None:
    monitor = run(1e-3)
    monitor.reset()
    assert monitor.warnings == [] and monitor.signatures() == []
    monitor.update(draw(0, d=7))  # another width is another network
    assert monitor.compute()["rank_ceiling"] == 7


def test_a_pickled_monitor_goes_on_where_it_was() -> None:
    whole, half = run(1e-3), pickle.loads(pickle.dumps(run(1e-3, steps=95)))
    with pytest.warns(CollapseWarning):
        for step in range(95, 160):
            half.update(draw(step, remnant=1e-3))
    assert half.compute() == whole.compute() and half.warnings == whole.warnings


def test_wide_and_large_batches_are_read_in_part() -> None:
    monitor = CollapseMonitor(images=16, channels=8)
    monitor.update(draw(0, n=64, d=40))
    assert monitor.compute()["rank_ceiling"] == 40  # the averages are of all of it
    assert monitor._last is not None and monitor._last.sample.shape == (16, 8)


def test_a_last_batch_of_one_image_is_passed_over() -> None:
    monitor = CollapseMonitor()
    monitor.update(draw(0))
    before = monitor.compute()
    monitor.update(draw(1)[:1])
    assert monitor.compute() == before


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ({"embedding": torch.randn(4, 5, 6)}, "pool tokens"),
        ({"embedding": torch.ones(4, 5, dtype=torch.int64)}, "floats"),
        ({"embedding": torch.randn(4, 9000)}, "9000 dimensions"),
        ({"embedding": torch.randn(4, 5), "view": torch.randn(3, 5)}, "other view"),
        ({"embedding": torch.randn(4, 5), "logits": torch.randn(4, 1)}, "logits must be"),
        ({"embedding": torch.randn(4, 5).numpy()}, "embedding must be a tensor, not ndarray"),
        ({"embedding": torch.randn(4, 5), "view": (torch.randn(4, 5),)}, "view must be a tensor, not tuple"),
        ({"embedding": torch.randn(4, 5), "loss": torch.ones(4)}, "loss must be a single number"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(batch: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        CollapseMonitor().update(**batch)


def test_one_monitor_watches_one_layer() -> None:
    monitor = CollapseMonitor()
    monitor.update(draw(0, d=8))
    with pytest.raises(UserError, match="9 dimensions, 8 before"):
        monitor.update(draw(1, d=9))


@pytest.mark.parametrize(
    "options",
    [
        {"window": 0},
        {"every": 0},
        {"every": 2.5},
        {"images": 8.5},
        {"mode": "training"},
        {"temperature": 0.0},
        {"limits": {"compleat": 1.0}},
        {"limits": {"complete": 0.0}},
        {"prototypes": (0,)},
        {"prototypes": 4096},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        CollapseMonitor(**options)
