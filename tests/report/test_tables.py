"""Numbers and words of the report against values worked out by hand (conftest's runs are round numbers)."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collapselab.files import read_csv, read_json, write_csv, write_json
from collapselab.report import content
from collapselab.report.captions import CAPTIONS
from collapselab.report.chart import Line, thinned
from collapselab.report.charts import charts
from collapselab.report.inputs import Results, gather
from collapselab.report.outputs import metrics, significant, summary
from collapselab.report.tables import data_table
from collapselab.report.verdicts import Badge, Row, verdict_table


@pytest.fixture
def results(tree: Path, params: dict[str, Any]) -> Results:
    return gather(params, tree)


def _row(results: Results, name: str) -> Row:
    return next(row for row in verdict_table(results) if row.name == name)


def test_summary_means_over_seeds(results: Results) -> None:
    # k-NN .70 and .72; loss 1/40 and 1 + 1/40; std .3/7 and .3/7 + .01
    expected = {"knn": 0.71, "linear": 0.71, "loss": 0.525, "std": 0.3 / 7 + 0.005}
    assert summary(results)["simclr"] == pytest.approx(expected, rel=1e-5)


def test_metrics_keep_the_agreed_shape(results: Results) -> None:
    found = metrics(results)
    assert (found["schema"], found["study"], found["fingerprint"]) == (1, "fake", results.fingerprint)
    run = found["regimes"]["tokens"][1]
    assert {key: run[key] for key in ("seed", "knn", "knn_init", "linear_init", "verdict")} == {
        "seed": 1, "knn": 0.21, "knn_init": 0.2, "linear_init": 0.2, "verdict": ["one-hot"],
    }  # fmt: skip
    assert run["verdicts"] == {
        "student.representation": [],
        "student.logits": ["one-hot"],
        "teacher.logits": ["one-hot"],
    }
    assert run["metrics"]["student.logits"]["variance_ratio"] == 0.5  # 2 - 6/4, at the last step


def test_significant_digits() -> None:
    assert significant(0.123456789) == 0.123457
    assert significant(math.nan) is None
    assert significant(math.inf) is None


def test_the_verdict_table_holds_pixels_and_initialisation(results: Results) -> None:
    names = [row.name for row in verdict_table(results)]
    assert names == [
        "tokens", "simclr", "supervised",
        "random initialisation, vit-small", "random initialisation, resnet-small", "raw pixels",
    ]  # fmt: skip
    pixels = _row(results, "raw pixels")
    assert (pixels.knn, pixels.linear, pixels.badges) == ("56.0 %", "60.0 %", None)
    assert _row(results, "random initialisation, resnet-small").knn == "25.0 %"


def test_a_regimes_row(results: Results) -> None:
    row = _row(results, "simclr")
    assert (row.knn, row.spread, row.knn_initial, row.change) == ("71.0 %", "70.0 to 72.0", "25.0 %", "+46.0")
    assert (row.badges, row.switched_off) == ((), "–")  # noqa: RUF001
    assert _row(results, "tokens").switched_off == "centering"
    assert _row(results, "supervised").switched_off == "trained with labels"


def test_a_kind_that_one_seed_shows_says_so(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/collapse/diagnosis.json"
    diagnosis = read_json(path)
    diagnosis["regimes"]["tokens"][1]["verdict"] = ["one-hot", "complete"]
    write_json(path, diagnosis)
    assert _row(gather(params, tree), "tokens").badges == (Badge("one-hot"), Badge("complete", "1 of 2 seeds"))


def test_what_holds_elsewhere_stands_beside_the_headline(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs/fake/collapse/diagnosis.json"
    diagnosis = read_json(path)
    for seed, layers in enumerate((["student.logits", "teacher.logits"], ["student.logits"])):
        for layer in layers:
            diagnosis["regimes"]["tokens"][seed]["verdicts"][layer] = ["one-hot", "token-position"]
    write_json(path, diagnosis)
    results = gather(params, tree)
    assert _row(results, "tokens").elsewhere == "token-position at student.logits, teacher.logits (1 of 2 seeds)"
    assert _row(results, "simclr").elsewhere == ""


def test_what_learnt_nothing_is_named(results: Results) -> None:
    assert content.nothing_learnt(results) == ["tokens"]  # .19 and .21 against .20
    tokens, simclr, _ = content.evidence(results)
    assert "learnt nothing that k-NN can see" in tokens.sentences[-1]
    assert simclr.sentences == ["Seed 0: No collapse was found.", "k-NN rose from 25.0 % at initialisation to 71.0 %."]
    assert any("Of tokens only which collapse comes" in sentence for sentence in content.limits(results))


def test_the_summary_counts(results: Results) -> None:
    assert content.summary(results) == (
        "3 regimes with 2 seeds on digits: 4,000 training, 512 validation and 1,000 test images of 32 x 32 pixels "
        "in 3 classes."
    )
    assert content.findings(results)[0] == "Collapsed: tokens (one-hot at student.logits and teacher.logits)."


def test_every_chart_has_a_caption_and_its_data(results: Results) -> None:
    made = charts(results)
    assert [chart.name for chart in made] == [name for name in CAPTIONS if name in {chart.name for chart in made}]
    for chart in made:
        table = data_table(chart)
        assert table.rows and all(len(row) == len(table.header) for row in table.rows)


def test_data_tables_show_round_steps_and_the_end(results: Results) -> None:
    loss = next(chart for chart in charts(results) if chart.name == "loss")
    table = data_table(loss)
    assert table.header == ["regime", "curve", "step 1", "step 2", "step 5", "step 10", "step 20", "end"]
    assert table.rows[0] == ["tokens", "loss", "1.5", "1", "0.7", "0.6", "0.55", "0.525"]
    assert table.rows[1][:3] == ["tokens", "kl", "0.5"]


def test_undefined_values_are_left_out_of_a_mean() -> None:
    line = Line("x", np.array([1.0, 2.0]), np.array([[1.0, np.nan], [3.0, np.nan]]), 0, 0)
    assert line.mean[0] == 2 and np.isnan(line.mean[1])


def test_an_undefined_metric_is_shown_and_stored_as_none(remake: Callable[..., Path], params: dict[str, Any]) -> None:
    root = remake()
    path = root / "runs/fake/collapse/metrics.csv"
    rows = [list(row.values()) for row in read_csv(path)]
    blank = [[*row[:5], "" if row[0] == "tokens" and row[4] == "normalised_std" else row[5]] for row in rows]
    write_csv(path, ("regime", "seed", "step", "layer", "metric", "value"), blank)
    results = gather(params, root)
    assert summary(results)["tokens"]["std"] is None
    assert _row(results, "tokens").std == "–"  # noqa: RUF001


def test_thinning_keeps_the_ends_and_little_else() -> None:
    places = thinned(np.arange(1.0, 10_001.0))
    assert places[0] == 0 and places[-1] == 9_999 and len(places) <= 100
    assert places[:5] == [0, 1, 2, 3, 4]  # early steps are the ones that matter
    assert thinned(np.arange(1.0, 51.0)) == list(range(50))
    assert np.diff(thinned(np.arange(1.0, 2049.0), log=False)).max() <= 21  # evenly, for eigenvalues


def test_seeds_that_disagree_give_no_statement() -> None:
    from types import SimpleNamespace

    from collapselab.report.content import seeds_agree

    def runs(*gains: float) -> list[Any]:
        return [SimpleNamespace(score=lambda name, when, g=g: 0.2 + (g / 100 if when == "final" else 0)) for g in gains]

    assert seeds_agree(runs(5, 17)) and seeds_agree(runs(-3, -8)) and seeds_agree(runs(-1, 1.5))
    assert not seeds_agree(runs(-6, 9)) and not seeds_agree(runs(-10, 0.2))
