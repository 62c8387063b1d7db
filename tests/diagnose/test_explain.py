"""Every kind and every metric has its page."""

from __future__ import annotations

import pytest
from tests.diagnose.conftest import Run

from collapselab.collapse.kind import KINDS, load_kinds
from collapselab.collapse.registry import load_metrics
from collapselab.collapse.thresholds import THRESHOLDS
from collapselab.diagnose.explain import NEEDS, explain


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_of_a_kind(run: Run, kind: str) -> None:
    result = run("explain", kind)
    out = " ".join(result.out.split())
    page = load_kinds()[kind]
    assert result.code == 0 and out.startswith(f"{kind} collapse {page.what}")
    for heading in ("How it is measured", "What it looks like", "What usually causes it", "What to try", "Sources"):
        assert heading in out
    for line in (page.measured, *page.causes, *page.remedies, *page.sources, *page.reads):
        assert " ".join(line.split()) in out
    assert any(name.startswith(f"{kind}/") and name in out for name in THRESHOLDS)
    assert max(map(len, result.out.splitlines())) <= 80


def test_the_page_of_a_metric(run: Run) -> None:
    out = run("explain", "effective-rank").out
    for said in (
        "effective_rank",
        "exp H(s / sum s)",
        "Roy and Vetterli 2007",
        "centring: mean over images",
        "version: 1",
    ):
        assert said in out
    for fact in ("normalisation", "epsilon", "range", "sees", "blind to", "needs: features", "read by: dimensional"):
        assert fact in out


def test_every_metric_has_a_page_that_knows_its_needs() -> None:
    for name, metric in load_metrics().items():
        assert explain(name)[0].heading == name
        assert set(metric.needs) <= set(NEEDS)


def test_thresholds_and_the_list_of_all(run: Run) -> None:
    out = " ".join(run("explain", "thresholds").out.split())
    assert all(name in out for name in THRESHOLDS) and "--thresholds FILE" in out
    listed = run("explain").out
    assert all(f"{name}: " in listed for name in (*KINDS, *load_metrics()))


@pytest.mark.parametrize(("name", "close"), [("dimensoinal", "dimensional"), ("rank_me", "rankme"), ("one hot", None)])
def test_a_name_is_forgiven_or_the_nearest_is_told(run: Run, name: str, close: str | None) -> None:
    result = run("explain", name)
    if close is None:
        assert result.code == 0
    else:
        assert result.code == 2 and f"did you mean `{close}`?" in result.err


def test_a_name_like_no_other(run: Run) -> None:
    result = run("explain", "zzzz")
    assert result.code == 2 and "lists all" in result.err and "did you mean" not in result.err
