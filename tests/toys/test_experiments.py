"""What the simulations show, against what the paper says of them; nothing here is compared with an earlier output of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from collapselab.randomness import generator
from collapselab.report.check import stale_reports
from collapselab.toys import experiments, page
from collapselab.toys.experiments import (
    AMPLITUDES,
    BLOCK,
    DEPTHS,
    DIM,
    RATE,
    STRONGER,
    TIMES,
    WEAK,
    Toys,
    entropy_rank,
    implicit_regularisation,
    simulate,
    singular,
)
from collapselab.toys.figures import draw
from collapselab.toys.flow import one_layer, shared
from collapselab.toys.words import sections

ROOT = Path(__file__).parents[2]
LAST = TIMES[-1]


@pytest.fixture(scope="module")
def toys() -> Toys:
    return simulate()


def test_figure_3_half_of_the_singular_values_vanish_above_k_1_and_none_below(toys: Toys) -> None:
    change = {k: toys.strong.least[k, LAST] for k in AMPLITUDES}
    # Finitely many samples: theory's 1 lies between 0.9 and 1.25.
    assert all(change[k] > 1.2 for k in AMPLITUDES if k <= 0.9)
    assert all(change[k] < 0.8 for k in AMPLITUDES if k >= 1.25)
    assert all(np.diff(list(change.values())) < 0), "the stronger the augmentation, the smaller they end"
    for k in AMPLITUDES:
        start, end = toys.strong.spectra[k, 0.0], toys.strong.spectra[k, LAST]
        assert all(end[: 16 - BLOCK] > start[: 16 - BLOCK]), "directions without noise grow for every k"


def test_theorem_1_the_threshold_is_1_counted_from_where_the_noisy_half_stands_still(toys: Toys) -> None:
    assert toys.strong.still > 1 and toys.strong.still == toys.both.still
    for time in TIMES[1:]:
        at = toys.strong.crossing(time, toys.strong.still)
        assert at == pytest.approx(1, abs=0.05) and at < toys.strong.crossing(time)


def test_where_half_of_the_columns_grow_without_end_the_rest_come_to_still() -> None:
    """Theorem 1 in closed form, W(t) = W(0) exp(X t), with X = 1 in the clean half and 0 in the noisy one."""
    start = generator(0, "test/still").standard_normal((DIM, DIM))
    values = [singular(one_layer(start, np.diag([1.0] * (DIM - BLOCK) + [0.0] * BLOCK), time)) for time in (0.0, 12.0)]
    change = np.exp(np.log(values[1][-BLOCK:] / values[0][-BLOCK:]).mean())
    assert experiments._still(start) == pytest.approx(change, rel=1e-6)


def test_figure_3_what_vanishes_goes_on_vanishing(toys: Toys) -> None:
    for k in (1.5, 2.0, 3.0, 4.0):
        assert all(np.diff([toys.strong.least[k, time] for time in TIMES]) < 0)


def test_with_both_views_augmented_there_is_no_threshold(toys: Toys) -> None:
    assert all(toys.both.least[k, LAST] > 1 for k in AMPLITUDES)
    assert toys.both.least[4.0, LAST] < toys.both.least[0.0, LAST] / 3, "but the noisy half is the weaker"


def test_theorem_1_x_is_negative_in_the_noisy_half_at_the_end(toys: Toys) -> None:
    assert (toys.strong.drive[4.0] < 0).sum() == BLOCK and (toys.strong.drive[0.0] < 0).sum() == 0


def test_figure_5_what_grew_is_aligned(toys: Toys) -> None:
    start, end = (toys.weak.diagonals[time] for time in (0.0, 100.0))
    grown = toys.weak.first[-1] > 4 * toys.weak.first[0]
    assert grown.sum() >= 4 and end[grown].min() > 0.99 and start.max() < 0.9


def test_figure_6_small_singular_values_stay_behind(toys: Toys) -> None:
    for values in (toys.weak.first, toys.weak.second, toys.weak.embedding):
        start, end = values[0, 0] / values[0, 7], values[-1, 0] / values[-1, 7]
        assert end > 3 * start


@pytest.mark.parametrize("noise", [WEAK, STRONGER])
def test_the_imbalance_drifts_by_the_step_of_gradient_descent_alone(noise: float) -> None:
    """The flow conserves it and descent follows the flow to first order in its rate: half the rate, half the drift."""
    whole, half = (implicit_regularisation(noise, 20.0, (0.0,), rate=rate).drift for rate in (RATE, RATE / 2))
    assert whole / half == pytest.approx(2, rel=0.05)


def test_singular_values_of_the_product_are_at_most_the_products_of_the_layers(toys: Toys) -> None:
    """Horn's inequality, with equality in the volume: the determinant of a product is the product of the determinants."""
    trace = toys.weak
    logs = [np.log(values).cumsum(1) for values in (trace.whole, trace.first, trace.second)]
    assert (logs[0] <= logs[1] + logs[2] + 1e-9).all()
    np.testing.assert_allclose(logs[0][:, -1], logs[1][:, -1] + logs[2][:, -1], rtol=1e-9)


def test_theorem_2_what_grew_to_nearly_one_size_aligns_as_a_span_and_not_one_by_one(toys: Toys) -> None:
    trace, grown = toys.stronger, toys.stronger.kept[-1]
    squares, matrix = trace.first[-1] ** 2, trace.aligned[trace.times[-1]]
    gaps = -np.diff(squares)
    # Their squares are nearer to each other than what is conserved is large; the next direction is far below.
    assert grown > 8 and gaps[: grown - 1].max() < trace.imbalance < gaps[grown - 1] / 5
    assert np.diag(matrix)[:grown].min() < 0.5
    # By the identity that test_theory holds, sines are at most the imbalance over the gap of the two spans.
    missing = (trace.imbalance / (squares[grown - 1] - trace.second[-1, grown] ** 2)) ** 2
    assert 1 - missing < shared(matrix, grown) <= 1 + 1e-12


def test_theorem_3_holds_in_the_training_itself(toys: Toys) -> None:
    predicted, measured = toys.weak.rates
    fast = measured > 0.1 * measured.max()
    np.testing.assert_allclose(predicted[fast], measured[fast], rtol=0.05)


def test_figure_11_depth_deepens_the_collapse_and_one_layer_has_none(toys: Toys) -> None:
    for relu in (False, True):
        ranks = np.stack([entropy_rank(toys.depth.get((d, relu), toys.depth[d, False])) for d in DEPTHS])
        assert ranks[0].min() > 12 and (np.diff(ranks, axis=0) < 0).all(), "for every seed"


def test_where_the_loss_cannot_vanish_small_directions_catch_up(toys: Toys) -> None:
    trace = toys.stronger
    kept = (trace.embedding > 0.01 * trace.embedding[:, :1]).sum(1)
    assert kept[-1] > kept[len(kept) // 6] and trace.losses[-1] > 1


def test_the_same_bytes_every_time(toys: Toys) -> None:
    again = implicit_regularisation(WEAK, 12.0, (0.0,))
    np.testing.assert_array_equal(again.first, toys.weak.first[: len(again.times)])
    assert draw(toys) == draw(toys)


def test_the_page(toys: Toys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "simulate", lambda: toys)
    (tmp_path / "src").symlink_to(ROOT / "src")
    out = page.build(tmp_path)
    html, markdown = (out / "report.html").read_text(), (out / "report.md").read_text()
    for section in sections(toys):
        assert f"figures/{section.name}.svg" in markdown and (out / "figures" / f"{section.name}.svg").is_file()
        assert html.count(f'aria-labelledby="{section.name}-title"') == 1
        assert all(len(row) == len(section.table.header) for row in section.table.rows)
    assert "<script" not in html and "nan" not in markdown.lower().split()
    found = json.loads((out / "toys.json").read_text())
    assert found["schema"] == 1 and len(found["x_at_the_end"]) == 2 * len(AMPLITUDES)
    weak, stronger = found["implicit_regularisation"]
    counts = [[str(row["time"]), str(row["kept"])] for row in stronger["course"]]
    assert counts == [row[:2] for row in sections(toys)[-1].table.rows], "the table's numbers, for programs"
    assert weak["w1_growth"]["theorem_3"] == pytest.approx(toys.weak.rates[0], rel=1e-5)
    assert stale_reports(tmp_path) == []
    (out / "provenance.json").write_text(json.dumps({"sources": {"src/collapselab/toys/flow.py": "0"}}))
    assert "src/collapselab/toys/flow.py changed" in stale_reports(tmp_path)[0]
