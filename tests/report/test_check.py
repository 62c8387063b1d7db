"""Which reports are stale, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collapselab.errors import UserError
from collapselab.files import write_json
from collapselab.report.check import provenance, stale_reports
from collapselab.sources import dependencies


@pytest.fixture
def built(tree: Path, params: dict[str, Any]) -> Path:
    """A tree with what the check reads of a report; that `build` writes it too, `test_build` shows."""
    write_report(tree, params)
    return tree


def write_report(root: Path, params: dict[str, Any]) -> None:
    write_json(root / "reports/fake/metrics.json", {})
    write_json(root / "reports/fake/provenance.json", provenance(params, root))


def test_a_fresh_report_is_not_stale(built: Path) -> None:
    assert stale_reports(built) == []


@pytest.mark.parametrize("path", ["src/lab/report.py", "src/lab/methods/simclr.py", "stages/report.py"])
def test_an_edited_dependency_is_named(built: Path, path: str) -> None:
    (built / path).write_text("x = 1\n")
    assert stale_reports(built) == [f"reports/fake: {path} changed"]


def test_code_that_no_stage_depends_on_changes_nothing(built: Path) -> None:
    (built / "src/lab/methods/byol.py").write_text("x = 1\n")
    assert stale_reports(built) == []


def test_an_edited_study_is_named_and_a_comment_is_not(built: Path, params: dict[str, Any]) -> None:
    study = built / "studies" / "fake.yaml"
    study.write_text("# a comment\n" + study.read_text())
    assert stale_reports(built) == []
    write_json(study, params | {"seeds": [0]})
    assert stale_reports(built) == ["reports/fake: studies/fake.yaml changed"]


def test_a_new_dependency_is_named(built: Path) -> None:
    pipeline = built / "dvc.yaml"
    (built / "src/lab/new.py").write_text("")
    pipeline.write_text(pipeline.read_text().replace("src/lab/report.py", "src/lab/report.py, src/lab/new.py"))
    assert stale_reports(built) == ["reports/fake: src/lab/new.py is a new dependency"]


def test_a_study_or_a_provenance_that_is_gone_is_named(built: Path) -> None:
    (built / "studies" / "fake.yaml").unlink()
    assert stale_reports(built) == ["reports/fake: studies/fake.yaml is gone"]
    (built / "reports" / "fake" / "provenance.json").unlink()
    assert stale_reports(built) == ["reports/fake: has no provenance.json"]


def test_a_dependency_that_is_gone_is_an_error(built: Path) -> None:
    (built / "src/lab/report.py").unlink()
    with pytest.raises(UserError, match=r"src/lab/report\.py is missing"):
        stale_reports(built)


def test_a_foreach_names_the_methods_in_use(tree: Path, params: dict[str, Any]) -> None:
    methods = [f"src/lab/methods/{name}.py" for name in ("simclr", "supervised", "token_distillation")]
    assert dependencies(params, tree) == [*methods, "src/lab/report.py", "stages/report.py"]


def test_a_folder_is_taken_file_by_file_without_caches(built: Path, params: dict[str, Any]) -> None:
    pipeline = built / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("src/lab/report.py", "src/lab/room"))
    (built / "src/lab/room/__pycache__").mkdir(parents=True)
    (built / "src/lab/room/report.py").write_text("x = 1\n")
    write_report(built, params)
    (built / "src/lab/room/__pycache__/report.pyc").write_bytes(b"x")
    assert stale_reports(built) == []
    (built / "src/lab/room/report.py").write_text("x = 2\n")
    assert stale_reports(built) == ["reports/fake: src/lab/room/report.py changed"]


def test_a_folder_adds_nothing_where_other_stages_name_its_parts(built: Path, params: dict[str, Any]) -> None:
    pipeline = built / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("src/lab/report.py", "src/lab/report.py, src/lab"))
    assert stale_reports(built) == []
    (built / "src/lab/methods/unused.py").write_text("")
    assert stale_reports(built) == []
