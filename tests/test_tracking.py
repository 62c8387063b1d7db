"""Tracking: a tiny study's files, without training anything, and the MLflow runs that they must give."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collapselab.errors import UserError
from collapselab.tracking import Tracked, check_port, comparison_url, find_root, live, track
from collapselab.tracking.disk import digest
from collapselab.tracking.projection import compare
from collapselab.tracking.server import Store, home

REGIMES, SEEDS, STEPS, PER_CELL = ("simclr", "simsiam"), (0, 1), 12, 5  # a parent and four children
ALL = len(REGIMES) * len(SEEDS) * PER_CELL + 1  # and the study run
Client = Any


class Fake:
    """What the stages of a study leave behind, written by hand; `change` stands for a regime trained again."""

    def __init__(self, root: Path, steps: int = STEPS) -> None:
        self.root, self.steps = root, steps
        self.lock: dict[str, Any] = {}
        params = {"study": "tiny", "seeds": list(SEEDS), "data": {"source": "digits"}}
        params["regimes"] = {regime: {"method": regime} for regime in REGIMES}
        (root / "dvc.yaml").write_text("stages: {}\n")
        (root / "params.yaml").write_text(yaml.safe_dump(params))
        self.json("data/digits/manifest.json", {"source": "digits", "sha256": {"train": "ab", "test": "cd"}})
        self.text("runs/tiny/preview/first.png", "png")
        for regime in REGIMES:
            for seed in SEEDS:
                self.train(regime, seed)
            self.entry(f"pretrain@{regime}", f"runs/tiny/pretrain/{regime}", "a")
        self.entry("download", "data/digits", "a")
        self.entry("preview", "runs/tiny/preview", "a")
        self.evaluate("a")

    def text(self, path: str, content: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(content)

    def json(self, path: str, value: Any) -> None:
        self.text(path, json.dumps(value))

    def entry(self, stage: str, out: str, version: str) -> None:
        path = "runs/tiny/pretrain" if stage in ("knn", "linear_probe", "collapse") else f"{stage}.py"
        dep = {"path": path, "md5": version}
        self.lock[stage] = {"cmd": f"python {stage}", "deps": [dep], "outs": [{"path": out, "md5": version}]}
        self.text("dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": self.lock}))

    def train(self, regime: str, seed: int, rate: float = 0.1, rows: int | None = None, finished: bool = True) -> None:
        config = {"method": regime, "backbone": "small", "augmentation": "crops", "epochs": 1, "batch_size": 64}
        config |= {"shuffle": True, "projector": [32, 8], "stop_gradient": False, "schedule": {}}
        config["optimiser"] = {"name": "sgd", "learning_rate": rate, "weight_decay": 0.0}
        cell = {"regime": regime, "seed": seed, "steps": self.steps, "config": config, "guards_off": ["stop-gradient"]}
        cell |= {"representation": "representation", "loss_layers": ["embedding"]}
        cell["data"] = {"source": "digits", "sha256": {"train": "ab", "test": "cd"}}
        published = self.root / f"runs/tiny/pretrain/{regime}/seed-{seed}"
        working = self.root / f".checkpoints/tiny.{regime}.{seed}.{digest(cell)[:16]}"
        shutil.rmtree(working if finished else published, ignore_errors=True)
        folder = str((published if finished else working / "outputs").relative_to(self.root))
        self.json(f"{folder}/config.json", cell)
        lines = [f"{step},1,{rate},{rate / step}\n" for step in range(1, (rows or self.steps) + 1)]
        self.text(f"{folder}/history.csv", "step,epoch,learning_rate,loss\n" + "".join(lines))
        if finished:
            (published / "weights.safetensors").write_bytes(b"")

    def evaluate(self, version: str, accuracy: float = 0.5) -> None:
        """Accuracies of the first regime follow `accuracy`; the others' stay."""
        scores = {regime: accuracy if regime == REGIMES[0] else 0.25 for regime in REGIMES}
        whole = {"k": 20, "temperature": 0.1, "pixels": {"knn": 0.4}}
        self.json("runs/tiny/knn.json", self.table(scores, self.knn) | whole)
        self.json("runs/tiny/linear_probe.json", self.table(scores, self.linear) | {"pixels": {"linear": 0.45}})
        found = {"verdict": ["complete"], "verdicts": {"embedding": ["complete"]}, "sentence": "Complete collapse."}
        self.json("runs/tiny/collapse/diagnosis.json", self.table(scores, lambda score: found))
        cells = [f"{regime},{seed},{{}}\n" for regime in REGIMES for seed in SEEDS]
        layers = ("representation", "embedding", "x")
        rows = [f"{step},{layer},normalised_std,0.{step + 1}" for step in (0, 5) for layer in layers]
        rows += [f"5,representation,{rest}" for rest in ("effective_rank,3", "spectral_entropy_rank,", "other,1")]
        lines = [cell.format(row) for cell in cells for row in rows]
        self.text("runs/tiny/collapse/metrics.csv", "regime,seed,step,layer,metric,value\n" + "".join(lines))
        self.json("reports/tiny/metrics.json", self.table(scores, self.summary))
        self.text("reports/tiny/report.html", "<p>report</p>")
        for stage, out in (("knn", "knn.json"), ("linear_probe", "linear_probe.json"), ("collapse", "collapse")):
            self.entry(stage, f"runs/tiny/{out}", version)
        self.entry("report", "reports/tiny/report.html", version)

    def change(self) -> None:
        """The first regime with another learning rate, through all stages."""
        for seed in SEEDS:
            self.train(REGIMES[0], seed, rate=0.2)
        self.entry(f"pretrain@{REGIMES[0]}", f"runs/tiny/pretrain/{REGIMES[0]}", "b")
        self.evaluate("b", accuracy=0.75)

    def table(self, scores: dict[str, float], entry: Callable[[float], dict[str, Any]]) -> dict[str, Any]:
        regimes = {regime: [{"seed": seed} | entry(score) for seed in SEEDS] for regime, score in scores.items()}
        return {"schema": 1, "regimes": regimes}

    def knn(self, score: float) -> dict[str, Any]:
        return self.linear(score) | {
            "curve": [{"step": 0, "knn": 0.1}, {"step": 5, "knn": 0.2}],
            "best": {},
            "k": {"table": 20, "curve": 9},
        }

    def linear(self, score: float) -> dict[str, Any]:
        return {"layers": {layer: {"initial": 0.2, "final": score} for layer in ("representation", "embedding")}}

    def summary(self, score: float) -> dict[str, Any]:
        scores = {"knn": score, "linear": score, "loss": 0.1, "knn_init": 0.2, "linear_init": None}
        layers = {
            "representation": {"normalised_std": 0.3, "effective_rank": 3.0},
            "embedding": {"normalised_std": 0.01},
        }
        return scores | {"verdict": ["complete"], "metrics": layers}


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, made once: its migrations take seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def study(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(empty_database.read_bytes())
    return Fake(tmp_path)


def client_of(path: Path) -> Client:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{path}")


def runs_of(path: Path, where: str = "tags.superseded IS NULL") -> dict[str, Any]:
    client = client_of(path)
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id], where, max_results=1000)
    named = {run.info.run_name: run for run in found}
    assert len(named) == len(found), "two runs of the same name"
    return named


def identities(path: Path) -> dict[str, str]:
    return {name: run.info.run_id for name, run in runs_of(path).items()}


def everything(path: Path) -> dict[str, Any]:
    """Names, params, curves and fingerprints: what must be the same on every clone."""
    client = client_of(path)
    found = {}
    for name, run in runs_of(path).items():
        curves = {key: curve(client, run, key) for key in run.data.metrics}
        found[name] = (run.data.params, run.data.tags["fingerprint"], curves)
    return found


def curve(client: Client, run: Any, key: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, key))


def test_the_first_tracking_creates_the_tree(study: Fake) -> None:
    done = track(study.root)
    assert (done.created, done.kept, done.superseded, done.notes) == (ALL, 0, 0, [])
    database = study.root / "mlflow.db"
    runs, client = runs_of(database), client_of(database)
    parent = runs["simclr seed 1"]
    assert parent.info.run_id in done.comparison
    assert parent.data.params["learning_rate"] == "0.1"
    assert parent.data.params["projector"] == "32-8"
    assert parent.data.params["guards_off"] == "stop-gradient"
    scores = {"knn": 0.5, "linear": 0.5, "knn_init": 0.2, "loss": 0.1}
    assert parent.data.metrics == scores | {"std": 0.01, "effective_rank": 3.0}
    assert parent.data.tags["mlflow.note.content"] == "Complete collapse."
    assert [entry.dataset.name for entry in parent.inputs.dataset_inputs] == ["digits"]
    children = {name for name, run in runs.items() if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert children == {f"simclr seed 1 {stage}" for stage in ("pretrain", "knn", "linear_probe", "collapse")}
    assert curve(client, runs["simclr seed 1 knn"], "knn_validation") == [(0, 0.1), (5, 0.2)]
    assert curve(client, runs["simclr seed 1 knn"], "knn/embedding") == [(0, 0.2), (STEPS, 0.5)]
    collapse = runs["simclr seed 1 collapse"]
    assert set(collapse.data.metrics) == {"normalised_std", "normalised_std/embedding", "effective_rank"}
    assert {item.path for item in client.list_artifacts(runs["study"].info.run_id)} >= {"report", "preview", "data"}
    assert runs["study"].data.metrics == {"knn_pixels": 0.4, "linear_pixels": 0.45}


def test_a_second_tracking_does_nothing_and_imports_no_mlflow(study: Fake) -> None:
    first = track(study.root)
    script = (
        "import sys, pathlib; from collapselab.tracking import track; done = track(pathlib.Path(sys.argv[1]));"
        "heavy = {'mlflow', 'numpy', 'pydantic', 'ruamel', 'torch', 'filelock'} & set(sys.modules);"
        "print(done.created, done.kept, done.superseded, done.comparison, sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", script, study.root], capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"0 {ALL} 0 {first.comparison} []"


def test_a_changed_regime_supersedes_its_own_runs_only(study: Fake) -> None:
    track(study.root)
    before = identities(study.root / "mlflow.db")
    study.change()
    done = track(study.root)
    changed = len(SEEDS) * PER_CELL + 1  # and the study run
    assert (done.created, done.kept, done.superseded) == (changed, ALL - changed, changed)
    old = runs_of(study.root / "mlflow.db", "tags.superseded = 'true'")
    assert {name.split()[0] for name in old} == {"simclr", "study"}
    same = dict(identities(study.root / "mlflow.db").items() & before.items())
    assert {name.split()[0] for name in same} == {"simsiam"}


def test_a_version_that_comes_back_is_current_again(study: Fake) -> None:
    track(study.root)
    before = identities(study.root / "mlflow.db")
    study.change()
    track(study.root)
    study.__init__(study.root)  # type: ignore[misc]  # as DVC restores it from its run-cache
    done = track(study.root)
    assert (done.created, done.kept) == (0, ALL)
    assert identities(study.root / "mlflow.db") == before


def test_an_unchanged_training_moves_under_the_new_parent(study: Fake) -> None:
    track(study.root)
    study.lock["knn"]["cmd"] += " --again"
    study.text("dvc.lock", yaml.safe_dump({"stages": study.lock}))
    assert track(study.root).kept == 3 * len(SEEDS) * len(REGIMES)
    runs = runs_of(study.root / "mlflow.db")
    for stage in ("pretrain", "knn"):
        assert runs[f"simclr seed 0 {stage}"].data.tags["mlflow.parentRunId"] == runs["simclr seed 0"].info.run_id


def test_a_deleted_database_is_rebuilt_the_same(study: Fake, empty_database: Path) -> None:
    database = study.root / "mlflow.db"
    track(study.root)
    before = everything(database)
    (study.root / "clone").mkdir()
    clone = Fake(study.root / "clone")
    (clone.root / "mlflow.db").write_bytes(empty_database.read_bytes())
    track(clone.root)
    assert everything(clone.root / "mlflow.db") == before
    assert len(before) == ALL


def test_an_interrupted_tracking_is_mended(study: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    from collapselab.tracking import projection

    real, calls = projection.fill, iter(range(100))

    def interrupted(*arguments: Any) -> None:
        real(*arguments)
        if next(calls) == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(projection, "fill", interrupted)
    with pytest.raises(KeyboardInterrupt):
        track(study.root)
    monkeypatch.setattr(projection, "fill", real)
    assert track(study.root).kept == 6
    runs = runs_of(study.root / "mlflow.db")
    assert len(runs) == ALL
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    parents = {run.info.run_id for run in runs.values() if run.data.tags["stage"] == "cell"}
    assert {run.data.tags.get("mlflow.parentRunId") for run in runs.values()} == {None} | parents


def test_a_partial_pipeline_is_tracked_as_far_as_it_is(study: Fake) -> None:
    del study.lock["knn"], study.lock["pretrain@simsiam"]
    study.text("dvc.lock", yaml.safe_dump({"stages": study.lock}))
    done = track(study.root)
    assert done.created == len(SEEDS) * (PER_CELL - 1) + 1
    assert done.notes == ["knn has no entry in dvc.lock", "pretrain@simsiam has no entry in dvc.lock"]


def test_a_deleted_experiment_comes_back(study: Fake) -> None:
    done = track(study.root)
    client_of(study.root / "mlflow.db").delete_experiment(done.experiment)
    assert track(study.root).kept == ALL
    assert len(runs_of(study.root / "mlflow.db")) == ALL


def test_ten_thousand_points_go_in_batches(study: Fake) -> None:
    study.steps = 5000
    study.train("simclr", 0)
    started = time.perf_counter()
    track(study.root)
    assert time.perf_counter() - started < 20  # one by one: about 40 s
    with sqlite3.connect(study.root / "mlflow.db") as connection:
        query = (
            "SELECT COUNT(*), COUNT(DISTINCT step) FROM metrics JOIN runs USING (run_uuid) WHERE name = ? AND key = ?"
        )
        assert connection.execute(query, ("simclr seed 0 pretrain", "loss")).fetchone() == (5000, 5000)


def test_another_store_is_honoured(study: Fake, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = study.root / "elsewhere" / "other.db"
    other.parent.mkdir()
    other.write_bytes(empty_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    assert track(study.root).created == ALL
    assert track(study.root).kept == ALL
    assert len(runs_of(other)) == ALL
    assert client_of(study.root / "mlflow.db").get_experiment_by_name("tiny") is None


def test_a_dead_server_is_one_error(study: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="No training is lost") as caught:
        track(study.root)
    assert "127.0.0.1:9" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_store_that_cannot_be_opened_is_one_error(study: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{study.root}/nowhere/mlflow.db")
    with pytest.raises(UserError, match="unable to open database file"):
        track(study.root)


def test_a_damaged_database_is_one_error(study: Fake) -> None:
    (study.root / "mlflow.db").write_bytes(b"not a database, but long enough to look at" * 100)
    with pytest.raises(UserError, match="damaged"):
        track(study.root)


def test_an_interrupted_first_tracking_leaves_no_half_database(study: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    database = study.root / "mlflow.db"
    database.unlink()

    def interrupted(uri: str) -> None:
        Path(uri.removeprefix("sqlite:///")).write_bytes(b"half of the tables")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.MlflowClient", interrupted)
        with pytest.raises(KeyboardInterrupt):
            track(study.root)
    assert not list(study.root.glob("*.tmp*")) and not database.stat().st_size
    assert track(study.root).created == ALL
    assert not list(study.root.glob("*.tmp*")) and track(study.root).kept == ALL


def test_a_port_that_is_taken_is_named_before_anything_is_served() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be used .*--port NUMBER"):
            check_port(port)
    check_port(port)


def test_lost_curves_replace_no_run(study: Fake) -> None:
    track(study.root)
    curves = study.root / "runs/tiny/collapse/metrics.csv"
    whole = curves.read_text()
    curves.write_text(
        "".join(line for line in whole.splitlines(True) if not line.startswith(f"{REGIMES[0]},{SEEDS[0]},"))
    )
    found = track(study.root)
    # The parent alone, as where any child is missing: the run that holds the curves stays.
    assert found.superseded == 1 and any("metrics.csv has no line of" in note for note in found.notes)
    for content in (b"a,b\nfoo\n", b"\xff\xfe\n\xff"):
        curves.write_bytes(content)
        with pytest.raises(UserError, match=r"metrics\.csv cannot be read"):
            track(study.root)
    curves.write_text(whole)
    assert track(study.root).kept == ALL
    (study.root / "runs/tiny/knn.json").write_text("[]")
    with pytest.raises(UserError, match="knn results of tiny cannot be read"):
        track(study.root)


def test_a_moved_folder_keeps_its_runs_and_artifacts(study: Fake) -> None:
    track(study.root)
    moved = study.root.with_name("moved here")
    study.root.rename(moved)
    assert track(moved).kept == ALL
    client, report = client_of(moved / "mlflow.db"), runs_of(moved / "mlflow.db")["study"]
    assert Path(client.download_artifacts(report.info.run_id, "report/report.html")).read_text() == "<p>report</p>"


def test_following_a_growing_training(study: Fake) -> None:
    database = study.root / "mlflow.db"
    study.train("simclr", 0, rows=3, finished=False)
    (history,) = study.root.glob(".checkpoints/tiny.simclr.0.*/outputs/history.csv")
    history.write_text(history.read_text() + "4,1,0.1")  # half a line
    polls: Iterator[Callable[[], None]] = iter(
        [
            lambda: study.train("simclr", 0, rows=8, finished=False),
            lambda: study.train("simclr", 0),
        ]
    )
    seen: list[list[tuple[int, float]]] = []

    def sleep(seconds: float) -> None:
        seen.append(curve(client_of(database), runs_of(database)["simclr seed 0 pretrain (live)"], "loss"))
        next(polls)()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live.time, "sleep", sleep)
        live.follow(study.root, 5.0, say=lambda line: None)
    run = runs_of(database)["simclr seed 0 pretrain (live)"]
    assert [[step for step, _ in points] for points in seen] == [[1, 2, 3], list(range(1, 9))]
    whole = [(step, pytest.approx(0.1 / step)) for step in range(1, STEPS + 1)]
    assert curve(client_of(database), run, "loss") == whole
    assert run.info.status == "RUNNING"
    track(study.root)
    assert set(runs_of(database, "tags.live = 'true'")) == set()
    assert len(runs_of(database)) == ALL


def test_following_goes_on_after_an_interruption_and_starts_anew_for_another_training(study: Fake) -> None:
    database = study.root / "mlflow.db"

    def follow_once(**training: Any) -> Any:
        study.train("simclr", 0, finished=False, **training)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(live.time, "sleep", lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
            live.follow(study.root, say=lambda line: None)
        return runs_of(database)["simclr seed 0 pretrain (live)"]

    first, second = follow_once(rows=3), follow_once(rows=6)
    assert first.info.run_id == second.info.run_id
    assert [step for step, _ in curve(client_of(database), second, "loss")] == [1, 2, 3, 4, 5, 6]
    third = follow_once(rows=2, rate=0.3)
    assert third.info.run_id != second.info.run_id
    assert [step for step, _ in curve(client_of(database), third, "loss")] == [1, 2]


def test_a_regime_in_training_leaves_its_current_runs_alone(study: Fake) -> None:
    track(study.root)
    study.train("simclr", 0, rate=0.2, rows=2, finished=False)
    done: Tracked = track(study.root)
    assert (done.created, done.superseded) == (0, 0)
    assert done.notes == ["runs/tiny/pretrain/simclr is not finished"]


def test_an_evaluation_older_than_its_training_is_left_out(study: Fake) -> None:
    """In mid-pipeline: the regime has trained with another configuration, and k-NN has not run since."""
    for rate, stage, name in ((0.2, "pretrain@simclr", "regimes.simclr"), (0.1, "knn", "regimes")):
        config = {"optimiser": {"learning_rate": rate}}
        study.lock[stage]["params"] = {"params.yaml": {name: {"simclr": config} if name == "regimes" else config}}
    study.text("dvc.lock", yaml.safe_dump({"stages": study.lock}))
    done = track(study.root)
    assert done.created == ALL - len(SEEDS)
    assert done.notes == ["knn is older than pretrain@simclr"]


def test_an_empty_store_has_everything_to_create(study: Fake) -> None:
    from collapselab.tracking.disk import Tree, read_state

    state = read_state(Tree(study.root))
    assert len(compare(state, []).create) == ALL
    assert Store(study.root, "tiny").peek() is None


def test_the_database_of_a_queued_experiment_is_the_repository_s(tmp_path: Path) -> None:
    (tmp_path / ".dvc/tmp/exps/temp/stages").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/exps/temp/dvc.yaml").touch()
    assert find_root(tmp_path / ".dvc/tmp/exps/temp/stages") == tmp_path / ".dvc/tmp/exps/temp"
    assert home(tmp_path / ".dvc/tmp/exps/temp") == tmp_path
    assert home(tmp_path) == tmp_path


def test_no_repository_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no dvc\.yaml"):
        find_root(tmp_path)


def test_the_comparison_link_is_one_url() -> None:
    assert (
        comparison_url("7", ["a", "b"])
        == "http://127.0.0.1:5000/#/compare-runs?runs=[%22a%22,%22b%22]&experiments=[%227%22]"
    )
    assert comparison_url("7", ["a" * 32] * 90) == "http://127.0.0.1:5000/#/experiments/7"


def test_a_collapse_run_carries_its_own_spectra(tmp_path: Path) -> None:
    import numpy as np

    from collapselab.files import save_arrays
    from collapselab.tracking.figures import spectra

    path = tmp_path / "spectra.safetensors"
    config = {"representation": "representation", "loss_layers": ["embedding"]}
    assert spectra(path, "simclr", "0", config, []) is None
    values = np.exp(-np.arange(8.0))[None].repeat(3, 0)
    arrays = {f"simclr/0/{layer}": values for layer in ("representation", "embedding")}
    save_arrays(path, arrays | {"simclr/0/steps": np.arange(3)})
    drawn = spectra(path, "simclr", "0", config, ["complete"])
    assert (
        drawn is not None and drawn.startswith("<?xml") and drawn == spectra(path, "simclr", "0", config, ["complete"])
    )
    assert spectra(path, "simclr", "1", config, []) is None
