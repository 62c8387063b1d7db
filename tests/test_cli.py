"""The command's contract: exit codes, and one message for a mistake."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from collapselab import cli

ROOT = Path(__file__).parents[1]


def call(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from collapselab.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tarck"], "No such command 'tarck'"),
        (["repro", "--stduy", "quick"], "No such option"),
        (["ui", "--port", "99999999"], "less than or equal to 65535"),
        (["repro", "--study", "quikc"], "no study 'quikc' in studies/: did you mean `quick`?"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.returncode == 2 and "Traceback" not in result.stdout
    assert result.stdout.startswith("error: ") and message in result.stdout


def test_outside_a_repository_the_way_in_is_told(tmp_path: Path) -> None:
    result = call("track", folder=tmp_path)
    assert result.returncode == 2 and "no dvc.yaml in" in result.stdout


def test_a_stale_report_gives_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "studies").mkdir()
    report = tmp_path / "reports" / "gone"
    report.mkdir(parents=True)
    (report / "metrics.json").write_text("{}")
    result = call("check-reports", folder=tmp_path)
    assert result.returncode == 1 and "reports/gone" in result.stdout
    (report / "metrics.json").unlink()
    nothing = call("check-reports", folder=tmp_path)
    assert nothing.returncode == 2 and "no report in" in nothing.stdout


def test_help_lists_the_commands() -> None:
    result = call("--help")
    assert result.returncode == 0
    assert all(
        name in result.stdout
        for name in ("repro", "toys", "track", "ui", "check-reports", "schema", "diagnose", "explain")
    )


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -u -c 'from collapselab.cli import main; main()' explain | head -1"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.stdout == "Kinds of collapse\n" and result.stderr == "" and result.returncode == 0


@pytest.mark.parametrize("arguments", ["features.npy --draws 0 --json", "features.npy --draws 0"])
def test_exit_codes_do_not_depend_on_the_reader(arguments: str, tmp_path: Path) -> None:
    np.save(tmp_path / "features.npy", np.random.default_rng(0).standard_normal((300, 16)))
    command = f"{sys.executable} -c 'from collapselab.cli import main; main()' diagnose {arguments} | true"
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_an_interruption_is_told_and_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(name: str) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("collapselab.diagnose.explain.explain", interrupted)
    monkeypatch.setattr("sys.argv", ["collapselab", "explain", "complete"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130 and "interrupted: run the same command to go on" in capsys.readouterr().err


def test_the_toys_are_a_study_that_leaves_params_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    called: list[bool] = []
    monkeypatch.setattr(cli, "toys", lambda: called.append(True))
    monkeypatch.chdir(tmp_path)  # no repository: anything but the toys would fail
    cli.repro(study="toys")
    assert called == [True]
