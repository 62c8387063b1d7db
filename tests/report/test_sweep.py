"""Regimes that differ in their augmentation alone, read as one sweep."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collapselab.report import sweep
from collapselab.report.build import make_figures, make_page, render
from collapselab.report.captions import CAPTIONS, caption
from collapselab.report.figures import draw
from collapselab.report.inputs import Results, Run, gather
from collapselab.report.tables import data_table

LEVELS = {"weak": 0.8, "middle": 0.3, "strong": 0.1}  # regime -> R^2 of the angle


def _as(run: Run, regime: str, r2: float) -> Run:
    diagnosis = deepcopy(dict(run.diagnosis))
    for layer in diagnosis["factors"].values():
        layer["angle"]["r2"] = r2
        layer["size"] = {"verdict": "kept", "r2": 0.5, "initial": 0.2}
    return replace(run, regime=regime, diagnosis=diagnosis)


@pytest.fixture
def swept(tree: Path, params: dict[str, Any]) -> Results:
    """The fake study's SimCLR under three augmentations, the angle's R^2 falling from one to the next."""
    results = gather(params, tree)
    regimes = {name: [_as(run, name, r2) for run in results.regimes["simclr"]] for name, r2 in LEVELS.items()}
    entries = {name: {"method": "simclr", "backbone": "b", "augmentation": name} for name in LEVELS}
    images = {**results.images, "factors": {"angle": 0.2, "size": 0.3}}
    right = {
        score: found
        | {key.replace("simclr", name, 1): value for name in LEVELS for key, value in found.items() if "simclr/" in key}
        for score, found in results.right.items()
    }
    return replace(results, regimes=regimes, params={**params, "regimes": entries}, images=images, right=right)


def test_a_study_of_other_regimes_has_no_sweep(tree: Path, params: dict[str, Any]) -> None:
    results = gather(params, tree)
    assert sweep.sweeps(results) == [] and sweep.sweep_charts(results) == [] and sweep.findings(results) == []


def test_regimes_that_differ_in_more_than_their_augmentation_are_left_out(swept: Results) -> None:
    swept.params["regimes"]["strong"]["epochs"] = 7
    assert sweep.sweeps(swept) == []


def test_the_factors_are_drawn_in_the_order_of_params(swept: Results) -> None:
    factors, spectra = sweep.sweep_charts(swept)
    assert factors.ticks == tuple(LEVELS) and [line.label for line in factors.panels[0].lines] == ["angle", "size"]
    np.testing.assert_allclose(factors.panels[0].lines[0].mean, list(LEVELS.values()))
    assert [line.label for line in spectra.panels[0].lines] == list(LEVELS)
    table = data_table(factors)
    assert table.header == ["layer", "curve", *LEVELS]
    assert table.rows[0] == ["representation", "angle", "0.8", "0.3", "0.1"]
    assert draw(factors) == draw(factors)


def test_what_falls_is_told_with_where(swept: Results) -> None:
    told = sweep.findings(swept)[0]
    assert (
        "below half of it fell angle (0.80 to 0.10) from middle on" in told
        and "size stayed above" in told
        and "the representation" in told
    )


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ([0.8, 0.5, 0.3], 2),
        ([0.8, 0.3, 0.5], None),
        ([0.8, 0.3, 0.2], 1),
        ([0.8, 0.8, 0.8], None),
        ([0.8, 0.1, 0.6, 0.1], 3),
    ],
)
def test_a_fall_lasts_to_the_end(values: list[float], place: int | None) -> None:
    assert sweep.fallen(np.array(values)) == place


def test_the_page_has_them_once(swept: Results) -> None:
    drawn = make_figures(swept)
    page = make_page(swept, drawn, [])
    text = render("template.md.j2", page | {"grids": []})
    assert text.count("figures/sweep-factors.svg") == 1 and "## Across augmentations" in text
    assert caption("sweep-factors-2")[0] == f"{CAPTIONS['sweep-factors'][0]} (2)"
