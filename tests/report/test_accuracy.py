"""Intervals against scipy's and a binomial's, and the tables of accuracies on conftest's round numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from collapselab.files import read_json, write_json
from collapselab.report.accuracy import accuracy_section, difference
from collapselab.report.inputs import Results, gather
from collapselab.report.intervals import LEVEL, Images, beyond, t_interval
from collapselab.report.outputs import metrics
from collapselab.report.projector import projector_section
from collapselab.report.tables import Table


@pytest.fixture
def results(tree: Path, params: dict[str, Any]) -> Results:
    return gather(params, tree)


def test_the_interval_over_seeds_is_students() -> None:
    values = [3.0, 5.5, 4.0, 7.25]
    expected = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    assert t_interval(values) == pytest.approx((expected.low, expected.high))
    assert t_interval([1.0]) is None
    low, high = t_interval([0.0, 2.0]) or (0, 0)
    assert (low, high) == pytest.approx((1 - 6.3138, 1 + 6.3138), abs=1e-3)  # as the report's text says of two seeds
    assert beyond((0.1, 2.0)) and beyond((-2.0, -0.1)) and not beyond((-0.1, 2.0)) and not beyond(None)


def test_the_interval_over_images_is_a_binomials() -> None:
    right = np.arange(1000) < 700
    low, high = Images(np.arange(1000)).interval(right)
    expected = stats.binom(1000, 0.7).interval(0.9)
    assert (1000 * low, 1000 * high) == pytest.approx(expected, abs=3)


def test_draws_of_one_original_are_one_witness() -> None:
    right = np.repeat(np.arange(100) < 70, 10)  # ten draws of each of 100 originals, all alike
    low, high = Images(np.repeat(np.arange(100), 10)).interval(right)
    expected = stats.binom(100, 0.7).interval(0.9)
    assert (100 * low, 100 * high) == pytest.approx(expected, abs=1.5)
    apart = Images(np.arange(1000)).interval(right)
    assert (high - low) / (apart[1] - apart[0]) == pytest.approx(math.sqrt(10), rel=0.15)


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(0)
    easy = rng.random(1000)
    first, second = ((easy < share).astype(np.uint8) for share in (0.52, 0.5))  # right on the same images, but for some
    images = Images(np.arange(1000))
    found = difference(images, {0: (first, second)})
    assert found and found.over_seeds is None and found.mean == pytest.approx(100 * (first.mean() - second.mean()))
    assert found.over_images[0] > 0 and found.sure == "images"
    low, high = images.interval(first)
    assert 100 * (high - low) > 3 * (found.over_images[1] - found.over_images[0])
    assert difference(images, {}) is None


def rows(table: Table) -> dict[str, dict[str, str]]:
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def tables(results: Results) -> dict[str, Table]:
    section = accuracy_section(results)
    assert section is not None
    return dict(section.tables)


def test_accuracies_stand_beside_initialisation_pixels_and_supervised_each_kind_of_interval_named(
    results: Results,
) -> None:
    table = tables(results)["Accuracy on test images, after the last epoch"]
    found = rows(table)
    names = ["tokens", "simclr", "supervised"]
    names += ["random initialisation, vit-small", "random initialisation, resnet-small", "raw pixels"]
    assert list(found) == names
    assert found["simclr"]["k-NN"] == "71.0 %" and found["simclr"]["k-NN: smallest to largest seed"] == "70.0 to 72.0"
    low, high = map(float, found["simclr"]["k-NN: 90 % interval over images"].split(" to "))
    assert low < 71 < high and high - low == pytest.approx(2 * 1.645 * 100 * math.sqrt(0.71 * 0.29 / 25), rel=0.15)
    assert found["raw pixels"]["linear probe: smallest to largest seed"] == "–"  # noqa: RUF001


def test_regimes_are_compared_seed_by_seed_with_their_initialisation(results: Results) -> None:
    table = tables(results)["Differences of the k-NN, paired by seed"]
    found = rows(table)
    row = found["simclr"]
    assert row["against"] == "its random initialisation"
    assert (row["points"], row["by seed"]) == ("+47.0", "+46.0, +48.0")  # .24 to .70 and .72, of 50 images
    middle, half = 47, 6.3138 * 1
    assert row["90 % t-interval over seeds"] == f"+{middle - half:.1f} to +{middle + half:.1f}"
    assert row["clear of 0, over"] == "images and seeds"
    assert found["tokens"]["clear of 0, over"] == "neither"
    assert [row[1] for row in table.rows if row[0] == "raw pixels"] == [
        "random initialisation, vit-small",
        "random initialisation, resnet-small",
    ]


def test_a_twin_is_compared_seed_by_seed(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/collapse/diagnosis.json"
    diagnosis = read_json(path)
    for entry in diagnosis["regimes"]["tokens"]:
        entry["twin"] = "simclr"
    write_json(path, diagnosis)
    table = tables(gather(params, tree))["Differences of the k-NN, paired by seed"]
    row = next(row for row in table.rows if row[1] == "simclr, its guard-on twin")
    # 10 of 50 images at either seed, against 35 and 36
    assert row[0] == "tokens" and row[2:4] == ["−51.0", "−50.0, −52.0"]  # noqa: RUF001


def test_the_best_step_by_validation_is_told_with_its_value(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/knn.json"
    knn = read_json(path)
    knn["regimes"]["simclr"][1]["best"] = {"step": 20, "knn": 0.9}
    write_json(path, knn)
    results = gather(params, tree)
    row = rows(tables(results)["k-NN on validation images: at the start, at the end, and at its best step"])["simclr"]
    assert (row["at the end"], row["best"]) == ("70.0 %", "80.0 %")
    assert row["best at step, by seed"] == "40 of 40, 20 of 40" and row["on test images, at the end"] == "71.0 %"
    assert metrics(results)["regimes"]["simclr"][1]["knn_best_validation"] == {"step": 20, "knn": 0.9}


def test_the_head_is_read_before_and_after_training_with_factors(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/knn.json"
    knn = read_json(path)
    for entry in knn["regimes"]["simclr"]:
        entry["layers"]["embedding"] = {"initial": 0.2, "final": 0.61}
    write_json(path, knn)
    section = projector_section(gather(params, tree))
    assert section is not None
    ((_, table),) = section.tables
    found = {(row[0], row[2]): dict(zip(table.header, row, strict=True)) for row in table.rows}
    end = found["simclr", "at the end"]
    assert end["layers"] == "representation → embedding" and end["k-NN"] == "71.0 → 61.0 % (−10.0)"  # noqa: RUF001
    assert found["simclr", "at initialisation"]["k-NN"] == "25.0 → 20.0 % (−5.0)"  # noqa: RUF001
    assert end["angle"] == "0.40 → 0.40" and found["simclr", "at initialisation"]["angle"] == "0.10 → 0.10"
    assert found["raw pixels", ""]["k-NN"] == "56.0 %" and found["raw pixels", ""]["angle"] == "0.20"
    assert ("supervised", "at the end") in found and ("tokens", "at initialisation") in found


def test_without_labels_there_are_no_accuracies_to_doubt(results: Results) -> None:
    bare = replace(results, pixels={"knn": math.nan, "linear": math.nan}, images={"metrics": {}, "factors": {}})
    assert accuracy_section(bare) is None and projector_section(bare) is None
