"""Charts: which curves they hold, before anything is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.report.conftest import REGIMES, STEPS

from collapselab.report.captions import CAPTIONS
from collapselab.report.charts import charts, gradients
from collapselab.report.figures import draw
from collapselab.report.inputs import gather


def test_every_chart_has_its_caption_and_the_same_bytes_twice(tree: Path, params: dict[str, Any]) -> None:
    found = charts(gather(params, tree))
    assert "gradients" in {chart.name for chart in found} <= set(CAPTIONS)
    assert [draw(chart) for chart in found] == [draw(chart) for chart in charts(gather(params, tree))]


def test_gradients_are_of_each_part_with_its_layers_thin_from_the_first_step_to_the_last(
    tree: Path, params: dict[str, Any]
) -> None:
    chart = gradients(gather(params, tree))
    assert [panel.title for panel in chart.panels] == list(REGIMES) and chart.scale == "log"
    panel = chart.panels[0]
    assert [line.label for line in panel.lines] == ["backbone", "projector"]
    assert [line.label for line in panel.baselines] == ["backbone.stem", "backbone.blocks.0", "projector.0"]
    assert len({line.colour for line in panel.lines}) == 2 and panel.baselines[1].colour == panel.lines[0].colour
    for line in (*panel.lines, *panel.baselines):
        assert line.x.tolist() == STEPS[1:]
    np.testing.assert_allclose(panel.lines[0].values, np.tile(5 / np.array(STEPS[1:]), (2, 1)))  # a right triangle
    np.testing.assert_allclose(panel.lines[1].values[:, -1], [1 / 40, 2 / 40])


def test_a_study_without_gradients_has_no_such_chart(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/collapse/gradients.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert "gradients" not in {chart.name for chart in charts(gather(params, tree))}


def test_what_is_not_defined_before_the_first_step_has_no_value_at_initialisation(
    tree: Path, params: dict[str, Any]
) -> None:
    path = tree / "runs/fake/collapse/metrics.csv"
    path.write_text(path.read_text() + "simclr,0,1,representation,gradient_norm,7\n")
    run = gather(params, tree).regimes["simclr"][0]
    assert np.isnan(run.first("representation", "gradient_norm")) and run.last("representation", "gradient_norm") == 7
    assert run.first("representation", "effective_rank") == 6
