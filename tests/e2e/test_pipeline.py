"""The whole pipeline on the tiny study: what runs, what does not, and that the bytes agree."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.e2e.conftest import Clone, executed

EVALUATION = {"linear_probe", "knn", "collapse", "report", "track"}


def test_a_reproduced_study_leaves_a_report_and_runs(clone: Clone) -> None:
    metrics = json.loads((clone.root / "reports/tiny/metrics.json").read_text())
    assert set(metrics["regimes"]) == {"simsiam", "simsiam-no-stop-gradient", "distillation", "supervised"}
    assert [run["seed"] for run in metrics["regimes"]["supervised"]] == [1]
    assert (clone.root / "reports/tiny/report.html").stat().st_size > 10_000
    runs = clone.mlflow_runs()
    cells = [key for key in runs if "/cell/" in key]
    assert len(cells) == 6
    pretrain = next(run for key, run in runs.items() if "/pretrain/simsiam/0/" in key)
    assert isinstance(pretrain, dict)
    assert [step for step, _ in pretrain["metrics"]["loss"]] == list(range(1, 11))


def test_a_second_run_executes_track_alone(clone: Clone) -> None:
    assert clone.repro() == ["track"]
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_a_forced_run_gives_the_same_bytes(clone: Clone) -> None:
    before = clone.versioned()
    ran = clone.repro("--force")
    assert {"download", "preview", "pretrain@simsiam", "report"} <= set(ran)
    assert clone.versioned() == before


def test_a_deleted_database_is_rebuilt_with_the_same_runs(clone: Clone) -> None:
    before = clone.mlflow_runs()
    (clone.root / "mlflow.db").unlink()
    shutil.rmtree(clone.root / "mlartifacts")
    assert clone.repro() == ["track"]
    assert clone.mlflow_runs() == before


def test_a_clone_pulls_everything_and_executes_track_alone(clone: Clone, tmp_path: Path) -> None:
    remote, target = tmp_path / "remote", tmp_path / "clone"
    clone.run("dvc", "remote", "add", "--local", "--default", "--force", "store", str(remote))
    clone.run("dvc", "push", "--run-cache")
    clone.run("git", "clone", "--quiet", str(clone.root), str(target))
    fresh = Clone(target)
    fresh.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    fresh.run("dvc", "pull")
    assert fresh.repro() == ["track"]
    assert fresh.mlflow_runs() == clone.mlflow_runs()


def test_editing_a_method_makes_only_its_regimes_stale(clone: Clone) -> None:
    method = clone.root / "src/collapselab/methods/simsiam.py"
    source = method.read_text()
    try:
        method.write_text(source + "\n# edited\n")
        stale = json.loads(clone.run("dvc", "status", "--json").stdout)
    finally:
        method.write_text(source)
    assert {name for name in stale if name.startswith("pretrain")} == {
        "pretrain@simsiam",
        "pretrain@simsiam-no-stop-gradient",
    }


def test_editing_a_regime_reruns_it_the_evaluation_and_the_report(clone: Clone) -> None:
    params = clone.root / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(
            text.replace("epochs: 1, batch_size: 32, seeds: [1]", "epochs: 2, batch_size: 32, seeds: [1]")
        )
        ran = set(clone.repro())
        superseded = [key for key, run in clone.mlflow_runs().items() if isinstance(run, dict) and run["superseded"]]
    finally:
        params.write_text(text)
    assert ran - {"preview"} == EVALUATION | {"download", "pretrain@supervised"}
    assert superseded and all("/simsiam/" not in key or "/pretrain" not in key for key in superseded)
    clone.run("dvc", "repro")
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_other_images_are_made_where_one_key_of_the_data_changes(clone: Clone) -> None:
    """`size` among them, which DVC's record of earlier runs passes over."""
    params, made = clone.root / "params.yaml", clone.root / "data/digits/manifest.json"
    text, before = params.read_text(), made.read_text()
    try:
        params.write_text(text.replace("size: [14, 22]", "size: [14, 24]"))
        assert clone.repro("--single-item", "download") == ["download"]
        assert json.loads(made.read_text())["sha256"] != json.loads(before)["sha256"]
    finally:
        params.write_text(text)
    clone.run("dvc", "repro", "--single-item", "download")
    assert made.read_text() == before and clone.run("git", "status", "--porcelain").stdout == ""


def test_plain_and_parallel_runs_give_the_same_bytes(clone: Clone) -> None:
    before = clone.versioned()
    shutil.rmtree(clone.root / "runs")
    shutil.rmtree(clone.root / ".dvc/cache")
    # As a person calls it who did not activate the environment.
    command = str(Path(sys.executable).parent / "collapselab")
    output = clone.run(command, "repro", "--jobs", "2", PATH=os.defpath + ":/usr/local/bin").stdout
    assert "pretrain@simsiam" in output and "report   reports/tiny/report.html" in output
    assert clone.versioned() == before


# ---- mistakes: one clear message, exit code 2, nothing half-written


def failure(clone: Clone, *command: str, **environment: str) -> str:
    result = clone.run(*command, check=False, **environment)
    assert result.returncode != 0
    assert "Traceback" not in result.stdout
    return result.stdout


def test_a_mistake_in_params_is_told_before_anything_runs(clone: Clone) -> None:
    params = clone.root / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("predictor_hidden: 4}", "predictr_hidden: 4}"))
        output = failure(clone, "collapselab", "repro")
        assert executed(output) == []
        assert "regimes.simsiam.predictr_hidden = 4: unknown key; did you mean `predictor_hidden`?" in output
        output = failure(clone, "python", "stages/pretrain.py", "supervised")
        assert "predictr_hidden" in output
    finally:
        params.write_text(text)


def test_an_unknown_regime_is_named(clone: Clone) -> None:
    output = failure(clone, "python", "stages/pretrain.py", "simsam")
    assert "unknown regime 'simsam': did you mean `simsiam`?" in output


def test_damaged_data_is_named_with_the_way_out(clone: Clone) -> None:
    path = clone.root / "data/digits/train.safetensors"
    content = path.read_bytes()
    try:
        path.unlink()
        path.write_bytes(content[:-100] + bytes(100))
        output = failure(clone, "python", "stages/knn.py")
        assert "data/digits/train.safetensors is not the file that" in output and "dvc repro -f download" in output
        path.unlink()
        output = failure(clone, "python", "stages/knn.py")
        assert "data/digits/train.safetensors is missing" in output
    finally:
        path.write_bytes(content)


def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(clone: Clone) -> None:
    folder = clone.root / "runs/tiny/pretrain/simsiam/seed-0"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    output = failure(clone, "bash", "-c", "ulimit -f 8; python stages/pretrain.py simsiam")
    assert "error: cannot write" in output and "Free some space" in output
    assert not [path for path in folder.rglob("*") if path.name.endswith(".tmp")]
    for path in folder.rglob("*.safetensors"):
        assert path.read_bytes() == before[path]


def test_an_interrupted_stage_says_so_and_the_next_run_goes_through(clone: Clone) -> None:
    before = clone.versioned()
    params = clone.root / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text.replace("epochs: 2, batch_size: 32, head", "epochs: 500, batch_size: 32, head"))
        stage = clone.start("python", "stages/pretrain.py", "distillation")
        begun, started = clone.root / ".checkpoints", time.time()
        while not list(begun.glob("tiny.distillation.0.*/checkpoints/step-*")) and time.time() - started < 120:
            time.sleep(0.2)
        stage.send_signal(signal.SIGINT)
        output, _ = stage.communicate(timeout=60)
    finally:
        params.write_text(text)
    assert stage.returncode == 130 and "run `dvc repro` to go on" in output and "Traceback" not in output
    clone.repro()
    assert clone.versioned() == before


def test_another_study_is_refused_over_edits(clone: Clone) -> None:
    params = clone.root / "params.yaml"
    text = params.read_text()
    try:
        params.write_text(text + "# an edit\n")
        output = failure(clone, "collapselab", "repro", "--study", "quick")
        assert "holds edits that no file of studies/ holds" in output
    finally:
        params.write_text(text)
