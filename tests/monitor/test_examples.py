"""The examples, run: each broken run is named before it ends, and its healthy twin is left in peace."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from types import ModuleType

import pytest
from tests.optional import needs

from collapselab.monitor import CollapseWarning

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_plain_loop_hears_of_the_collapse_before_it_ends() -> None:
    with pytest.warns(CollapseWarning, match="complete"):
        monitor = load("plain_loop").train(stop_gradient=False)
    (warned,) = monitor.warnings
    assert warned.kind == "complete" and warned.step < 299


def test_a_plain_loop_with_its_guard_hears_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        monitor = load("plain_loop").train(stop_gradient=True)
    assert monitor.warnings == [] and monitor.signatures() == []


@needs("lightning")
@pytest.mark.parametrize(("variance", "named"), [(0.0, ["complete"]), (25.0, [])])
def test_a_lightning_run_stops_itself_where_it_collapses(variance: float, named: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = load("lightning_module").train(variance, steps=150)
    assert [warned.kind for warned in model.monitor.warnings] == named
    assert (model.trainer.global_step < 150) == bool(named)


@needs("lightly")
def test_a_lightly_model_is_named_one_hot() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monitor = load("lightly_model").train()
    assert monitor.warnings[0].kind == "one-hot" and monitor.warnings[0].step < 99
