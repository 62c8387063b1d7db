"""The report as files: the same bytes every time, nothing from outside, links that lead somewhere, errors that help."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collapselab.errors import UserError
from collapselab.files import read_csv, read_json, write_json
from collapselab.report.build import build, escape_markdown
from collapselab.report.check import stale_reports
from collapselab.report.inputs import fingerprint, input_paths

PROGRAM = """
import sys
from pathlib import Path
from collapselab.config.study import read_params
from collapselab.report.build import build
root = Path(sys.argv[1])
build(read_params(root / "params.yaml"), root)
assert "torch" not in sys.modules, "the report must not import torch"
"""


def test_two_processes_give_the_same_bytes(tree: Path) -> None:
    digests = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", PROGRAM, str(tree)], check=True, env=environment)
        digests.append({path: _digest(path) for path in sorted((tree / "reports").rglob("*")) if path.is_file()})
    assert digests[0] == digests[1]
    assert len(digests[0]) > 15


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_page_loads_nothing_from_outside(tree: Path, params: dict[str, Any]) -> None:
    page = (build(params, tree) / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert not re.findall(r"@import|url\(\s*['\"]?(?!#)|<script|<link|<iframe", page)


def test_ids_in_the_page_are_unique_and_every_reference_finds_one(tree: Path, params: dict[str, Any]) -> None:
    page = (build(params, tree) / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)


def test_names_are_escaped(remake: Callable[..., Path], params: dict[str, Any]) -> None:
    root = remake()
    manifest = root / "data" / "digits" / "manifest.json"
    write_json(manifest, read_json(manifest) | {"origin": "<script>alert(1)</script> a|b *c*"})
    diagnosis = root / "runs" / "fake" / "collapse" / "diagnosis.json"
    odd = read_json(diagnosis)
    odd["regimes"]["simclr"][0] |= {"sentence": "E h(p) < 0.1 & <b>flat</b> $x$"}
    write_json(diagnosis, odd)
    out = build(params, root)
    page, markdown = (out / "report.html").read_text(), (out / "report.md").read_text()
    assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt; a|b *c*" in page
    assert "E h(p) &lt; 0.1 &amp; &lt;b&gt;flat&lt;/b&gt;" in page
    assert r"\<script\>alert(1)\</script\> a\|b \*c\*" in markdown


def test_escaped_markdown_stays_in_its_cell() -> None:
    assert escape_markdown("a|b\nc_d") == r"a\|b c\_d"


def test_links_of_the_markdown_page_resolve(tree: Path, params: dict[str, Any]) -> None:
    out = build(params, tree)
    links = re.findall(r"\]\(([^)]+)\)", (out / "report.md").read_text())
    assert len(links) > 12
    assert [link for link in links if not (out / link).is_file()] == []


def test_a_figure_that_is_gone_does_not_stay(tree: Path, params: dict[str, Any]) -> None:
    out = build(params, tree)
    (out / "figures" / "old.svg").write_text("<svg/>")
    build(params, tree)
    assert not (out / "figures" / "old.svg").exists()


@pytest.mark.parametrize(
    "missing",
    [
        "runs/fake/knn.json",
        "runs/fake/collapse/metrics.csv",
        "runs/fake/collapse/spectra.safetensors",
        "runs/fake/pretrain/simclr/seed-1/history.csv",
        "runs/fake/preview/index.json",
        "runs/fake/preview/first-notebook-student.png",
        "data/digits/manifest.json",
    ],
)
def test_a_missing_input_is_named_with_the_fix(tree: Path, params: dict[str, Any], missing: str) -> None:
    (tree / missing).unlink()
    with pytest.raises(UserError, match=re.escape(missing) + r" is missing: run `dvc repro`"):
        build(params, tree)
    assert not (tree / "reports").exists()


def test_a_run_without_an_entry_is_named(tree: Path, params: dict[str, Any]) -> None:
    path = tree / "runs" / "fake" / "knn.json"
    knn = read_json(path)
    del knn["regimes"]["simclr"][1]
    write_json(path, knn)
    with pytest.raises(UserError, match=r"knn\.json has nothing for regime simclr, seed 1"):
        build(params, tree)


def test_a_history_without_a_step_is_named(tree: Path, params: dict[str, Any]) -> None:
    (tree / "runs/fake/pretrain/simclr/seed-1/history.csv").write_text("step,loss\n")
    with pytest.raises(UserError, match=r"history\.csv holds no step"):
        build(params, tree)


def test_a_fresh_report_is_what_the_check_expects(tree: Path, params: dict[str, Any]) -> None:
    build(params, tree)
    assert stale_reports(tree) == []


def test_the_fingerprint_follows_content_alone(tree: Path, params: dict[str, Any]) -> None:
    paths = input_paths(params, tree)
    before = fingerprint(paths)
    assert fingerprint(reversed(paths)) == before
    history = tree / "runs/fake/pretrain/simclr/seed-1/history.csv"
    history.write_text(history.read_text().replace("0.1", "0.2", 1))
    assert fingerprint(paths) != before


def test_left_over_runs_are_not_read(tree: Path, params: dict[str, Any]) -> None:
    (tree / "runs/fake/pretrain/old/seed-0").mkdir(parents=True)
    (tree / "runs/fake/pretrain/simclr/seed-7").mkdir()
    assert set(read_json(build(params, tree) / "summary.json")) == {"tokens", "simclr", "supervised"}


def test_plots_are_long_and_thinned(tree: Path, params: dict[str, Any]) -> None:
    history = tree / "runs/fake/pretrain/simclr/seed-0/history.csv"
    history.write_text(
        "step,epoch,learning_rate,loss\n" + "".join(f"{step},1,0.1,{1 / step}\n" for step in range(1, 5001))
    )
    out = build(params, tree)
    rows = [row for row in read_csv(out / "plots" / "history.csv") if (row["regime"], row["seed"]) == ("simclr", "0")]
    assert 50 < len(rows) <= 100
    assert (rows[0]["step"], rows[-1]["step"]) == ("1", "5000")
    spectra = read_csv(out / "plots" / "spectra.csv")
    # the last snapshot's spectrum is a tenth of a geometric one from 1 to 1e-3
    assert [float(row["log10_eigenvalue"]) for row in spectra if row["layer"] == "embedding"] == pytest.approx(
        [-1 - 3 * place / 7 for place in range(8)], abs=1e-5
    )
