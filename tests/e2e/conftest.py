"""A clone of the working tree with the tiny study as its params, as a stranger would have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Clone:
    """A repository folder, and commands run in it with this environment's tools."""

    root: Path

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """stdout and stderr together; an unexpected exit code fails the test with them."""
        process = self.start(*command, **environment)
        output, _ = process.communicate()
        assert not check or process.returncode == 0, f"{command} gave {process.returncode}:\n{output}"
        return subprocess.CompletedProcess(command, process.returncode, output)

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """The same without waiting for the end."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "GIT_"))}
        ours = {"PATH": path, "PYTHONPATH": str(self.root / "src"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=env | ours | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def repro(self, *options: str) -> list[str]:
        """`dvc repro`; the stages that it executed."""
        return executed(self.run("dvc", "repro", *options).stdout)

    def versioned(self) -> dict[str, bytes]:
        """The outputs that git versions, and the hashes of those that DVC does."""
        paths = [*sorted((self.root / "reports" / "tiny").rglob("*")), self.root / "dvc.lock"]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths if path.is_file()}

    def mlflow_runs(self) -> dict[str, object]:
        """Every run's name, tags that identify it, params and metric histories, without ids and times."""
        out = self.run(sys.executable, str(Path(__file__).parent / "dump_runs.py")).stdout
        loaded: dict[str, object] = json.loads(out.splitlines()[-1])
        return loaded


def executed(output: str) -> list[str]:
    marker = "Running stage '"
    return [line.split(marker)[1].split("'")[0] for line in output.splitlines() if marker in line]


def make_clone(target: Path) -> Clone:
    """The files that git has or would take, committed to a repository of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if name.startswith("reports/") or name == "dvc.lock" or not (ROOT / name).is_file():
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target / name)
    shutil.copyfile(ROOT / "tests" / "tiny.yaml", target / "params.yaml")
    shutil.copyfile(ROOT / "tests" / "tiny.yaml", target / "studies" / "tiny.yaml")
    clone = Clone(target)
    clone.run("git", "init", "--quiet")
    clone.run("git", "config", "user.name", "tester")
    clone.run("git", "config", "user.email", "tester@example.invalid")
    commit(clone, "the tree under test")
    return clone


def commit(clone: Clone, message: str) -> None:
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "--message", message)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the tiny study has been reproduced once and committed."""
    made = make_clone(tmp_path_factory.mktemp("clone"))
    made.repro()
    commit(made, "the tiny study, reproduced")
    return made
