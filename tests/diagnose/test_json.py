"""The JSON object: every key, every type, nothing else on stdout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.diagnose.conftest import Array, Run, flat, gaussian, snapshot, views_of

from collapselab.collapse.kind import KINDS
from collapselab.collapse.registry import load_metrics

Npy = Callable[[str, Array], Path]
RANKS = {"effective_rank", "spectral_entropy_rank", "participation_ratio"}
SPEC = {
    "needs": list,
    "formula": str,
    "source": str,
    "centring": str,
    "normalisation": str,
    "epsilon": float,
    "range": str,
    "sees": str,
    "blind_to": str,
    "falls": str,
    "version": int,
}
SPEC |= {"n": int}  # images that the value is taken from


def check_kinds(kinds: Mapping[str, Any], *, with_layer: bool) -> None:
    assert set(kinds) <= set(KINDS)
    for finding in kinds.values():
        keys = {"severity", "interval", "evidence", "cause", "remedy"} | ({"layer"} if with_layer else set())
        assert set(finding) == keys
        assert type(finding["severity"]) is float and 0 <= finding["severity"] <= 1
        assert finding["evidence"] and isinstance(finding["remedy"], str)
        assert bool(finding["remedy"]) == (finding["severity"] >= 0.5)
        if finding["interval"] is not None:
            low, high = finding["interval"]
            assert 0 <= low <= high <= 1


def check_layer(found: Mapping[str, Any], *, reference: bool) -> None:
    assert found["metrics"] and set(found["metrics"]) <= set(load_metrics())
    for entry in found["metrics"].values():
        assert set(entry) == {"value", "spec"}
        assert entry["value"] is None or type(entry["value"]) is float
        assert {key: type(value) for key, value in entry["spec"].items()} == SPEC
    baseline = found["baseline"]
    expected = {"ceiling", "isotropic", "shuffled", "power-law-1", "power-law-1.5"}
    assert set(baseline) == expected | ({"reference"} if reference else set())
    for name in set(baseline) - {"ceiling"}:
        assert set(baseline[name]) - {"rows", "seed"} == RANKS
    assert type(found["n"]) is int and type(found["d"]) is int and type(baseline["ceiling"]) is int


def check(found: Mapping[str, Any], *, layers: list[str], reference: bool = False) -> None:
    keys = {"schema", "verdict", "verdicts", "kinds", "undetermined", "warnings", "metrics", "baseline", "n", "d"}
    keys |= {"layers"} if len(layers) > 1 else set()
    keys |= {"comparison"} if reference else set()
    assert set(found) == keys
    assert found["schema"] == 1
    assert set(found["verdict"]) <= set(KINDS)
    assert list(found["verdicts"]) == layers
    assert all(set(kinds) <= set(KINDS) for kinds in found["verdicts"].values())
    check_kinds(found["kinds"], with_layer=True)
    assert set(found["undetermined"]) <= set(KINDS)
    assert all(isinstance(text, str) and text for text in [*found["undetermined"].values(), *found["warnings"]])
    assert set(found["kinds"]) | set(found["undetermined"]) == set(KINDS)
    check_layer(found, reference=reference)
    for name, layer in found.get("layers", {}).items():
        assert name in layers and set(layer) == {"kinds", "metrics", "baseline", "n", "d"}
        check_kinds(layer["kinds"], with_layer=False)
        check_layer(layer, reference=reference)


def test_a_bare_file(run: Run, npy: Npy) -> None:
    result = run("diagnose", npy("features", flat()), "--json", "--draws", 5)
    check(result.json, layers=["features"])
    assert result.out.count("\n") == 1 and result.err == ""
    found = result.json
    assert found["verdict"] == ["dimensional"] and found["verdicts"] == {"features": ["dimensional"]}
    assert found["kinds"]["dimensional"]["interval"] is not None
    assert (found["n"], found["d"], found["baseline"]["ceiling"]) == (600, 16, 16)


def test_a_snapshot_and_its_layers(run: Run, runs: tuple[Path, Path]) -> None:
    found = run("diagnose", runs[0], "--json").json
    check(found, layers=["embedding", "representation"])
    assert found["verdict"] == [] and found["verdicts"] == {"embedding": ["dimensional"], "representation": []}
    assert (found["n"], found["d"]) == (300, 24)  # the representation's
    assert found["kinds"]["complete"]["layer"] in ("embedding", "representation")


def test_with_a_reference(run: Run, npy: Npy) -> None:
    found = run("diagnose", npy("a", flat()), "--reference", npy("b", gaussian(600)), "--json").json
    check(found, layers=["a"], reference=True)
    change = found["comparison"]["layers"]["a"]
    assert set(found["comparison"]) == {"layers", "only_here", "only_there"}
    assert change["appeared"] == ["dimensional"] and change["vanished"] == [] and change["since"] == {}
    assert all(set(moved) == {"metric", "value", "reference", "log_ratio"} for moved in change["moved"])


def test_no_value_is_nan(run: Run, npy: Npy) -> None:
    result = run("diagnose", npy("features", np.zeros((50, 8), dtype=np.float16)), "--json")
    check(result.json, layers=["features"])
    assert "NaN" not in result.out and "Infinity" not in result.out
    assert any(entry["value"] is None for entry in result.json["metrics"].values())


def test_baselines_are_closed_forms(run: Run, npy: Npy) -> None:
    baseline = run("diagnose", npy("features", gaussian(2500, 16)), "--json").json["baseline"]
    assert baseline["isotropic"] == pytest.approx(dict.fromkeys(RANKS, 16))
    values = 1 / np.arange(1, 17)
    assert baseline["power-law-1"]["participation_ratio"] == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert baseline["shuffled"]["rows"] == 2000
    assert baseline["shuffled"]["effective_rank"] == pytest.approx(16, rel=0.01)


def test_what_to_supply_names_the_option(run: Run, npy: Npy) -> None:
    missing = run("diagnose", npy("features", gaussian()), "--json").json["undetermined"]
    options = {
        "complete": ["--views FILE", "--reference FILE"],
        "norm": ["--reference FILE"],
        "one-hot": ["--probabilities FILE"],
        "uniform": ["--probabilities FILE"],
        "prototype": ["--probabilities FILE"],
        "token-position": ["--tokens FILE"],
        "token-smooth": ["--tokens FILE"],
        "nuisance": ["--views FILE"],
    }
    assert set(missing) == set(options)
    for kind, named in options.items():
        assert all(option in missing[kind] for option in named), missing[kind]
    p = np.full((300, 8), 1 / 8)
    p[np.arange(300), np.arange(300) % 8] += 0.5
    p /= p.sum(1, keepdims=True)
    found = run("diagnose", npy("features", gaussian()), "--probabilities", npy("p", p), "--json").json
    assert "--prototypes FILE" in found["undetermined"]["prototype"]


def test_several_snapshots_are_one_run(run: Run, tmp_path: Path) -> None:
    layers = {"representation": gaussian(), "embedding": gaussian(seed=1)}
    shrunk = {"representation": 1e-4 * gaussian(), "embedding": gaussian(seed=1)}
    last = snapshot(tmp_path / "b.safetensors", 7, shrunk)
    first = snapshot(tmp_path / "a.safetensors", 0, layers)
    assert run("diagnose", last, first, "--json").json["verdict"] == ["norm"]
    alone = run("diagnose", last, "--json").json
    assert alone["verdict"] == [] and "norm" in alone["undetermined"]
    chosen = run("diagnose", last, first, "--layer", "embedding", "--json").json
    check(chosen, layers=["embedding"])
    assert chosen["verdict"] == []


def test_several_bare_files_are_layers(run: Run, npy: Npy) -> None:
    views = views_of(gaussian(), 0.1)
    found = run("diagnose", npy("one", gaussian()), npy("two", flat(300)), "--json").json
    check(found, layers=["one", "two"])
    assert found["verdict"] == ["dimensional"] and found["verdicts"] == {"one": [], "two": ["dimensional"]}
    assert found["kinds"]["dimensional"]["layer"] == "two" and found["d"] == 16
    assert run("diagnose", npy("one", gaussian()), npy("two", flat(300)), "--views", npy("v", views)).code == 2
