"""What the simulations show, against what the paper says of them; nothing here is compared with an earlier output of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from collapselab.report.check import stale_reports
from collapselab.toys import page
from collapselab.toys.experiments import (
    AMPLITUDES,
    BLOCK,
    DEPTHS,
    TIMES,
    WEAK,
    Toys,
    entropy_rank,
    implicit_regularisation,
    simulate,
)
from collapselab.toys.figures import draw
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
    assert toys.weak.drift < 0.1  # of order rate; the flow conserves it


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
    assert json.loads((out / "toys.json").read_text())["schema"] == 1
    assert stale_reports(tmp_path) == []
    (out / "provenance.json").write_text(json.dumps({"sources": {"src/collapselab/toys/flow.py": "0"}}))
    assert "src/collapselab/toys/flow.py changed" in stale_reports(tmp_path)[0]
