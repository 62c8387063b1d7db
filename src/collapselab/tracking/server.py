"""The MLflow side: which store, what it holds, and how a run is written.

The local SQLite file is asked through the standard library first; MLflow, seconds to import, only where there is work.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from collapselab.errors import UserError
from collapselab.tracking.disk import Key

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Param, RunTag

    from collapselab.tracking.content import Content, Point

UI = "http://127.0.0.1:5000"  # where `make ui` serves the local store
PARENT = "mlflow.parentRunId"
LINKED = 40  # runs whose ids a link names: two thousand characters
BATCH = 1000  # metrics, params and tags that one log_batch takes
READ = ("stage", "regime", "seed", "fingerprint", "superseded", "live", "config", PARENT)  # tags that decide

SETTINGS = {
    "DISABLE_TELEMETRY": "true",
    "HTTP_REQUEST_MAX_RETRIES": "2",  # seven by default: minutes for each outage
    "HTTP_REQUEST_TIMEOUT": "20",
    "LOGGING_LEVEL": "WARNING",
    "SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for every run
}


@dataclass(frozen=True)
class Run:
    """A run as MLflow holds it, in the tags that tracking decides by."""

    id: str
    status: str
    tags: Mapping[str, str]

    @property
    def key(self) -> Key:
        return Key(self.tags["stage"], self.tags.get("regime", ""), self.tags.get("seed", ""))


@dataclass
class Experiment:
    """A study in MLflow, with the runs that tracking made (a person's own have no `stage`) and nobody deleted."""

    id: str
    location: str
    active: bool = True
    runs: list[Run] = field(default_factory=list)


class Store:
    """Where the runs of one study go: `MLFLOW_TRACKING_URI`, else mlflow.db at the repository's root."""

    def __init__(self, root: Path, study: str) -> None:
        self.home, self.study = home(root), study
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow.db'}"
        found = re.match(r"sqlite:///([^?]+)", self.uri)
        self.database = Path(found[1]).absolute() if found else None

    @property
    def served(self) -> bool:
        return self.uri.startswith(("http://", "https://"))

    @property
    def page(self) -> str:
        """Where MLflow's UI shows these runs."""
        return self.uri.rstrip("/") if self.served else UI

    @property
    def location(self) -> str | None:
        """Where artifacts go: beside the database, unless a server has its own place for them."""
        beside = self.database.parent if self.database else self.home
        return None if self.served else (beside / "mlartifacts" / self.study).as_uri()

    def peek(self) -> Experiment | None:
        """What the SQLite file holds of this study, read without MLflow; None where there is no such file or study."""
        if not self.database or not self.database.exists():
            return None
        try:
            with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
                return _read(connection, self.study)
        except sqlite3.OperationalError:  # locked, or without MLflow's tables: MLflow itself knows better
            return None
        except sqlite3.DatabaseError as error:
            fix = "delete it, then `collapselab track` makes it again"
            raise UserError(f"{self.database} is damaged ({error}): {fix}") from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time: several that create the database at once would die in its migrations."""
        from filelock import FileLock

        with FileLock(self.home / "mlflow.db.lock"):
            yield

    @contextmanager
    def client(self) -> Iterator[MlflowClient]:
        """MLflow's client; what goes wrong inside becomes one UserError that names the store and the way out."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(f"MLFLOW_{name}", value)
        try:
            if self.database:  # one that cannot be opened MLflow would try again for two minutes
                with closing(sqlite3.connect(self.database)) as connection:
                    connection.execute("PRAGMA schema_version")
                if not self.database.stat().st_size:
                    _create(self.database)
            from mlflow import MlflowClient

            yield MlflowClient(self.uri)
        except Exception as error:
            if type(error).__module__.split(".")[0] not in ("mlflow", "sqlalchemy", "sqlite3", "requests", "urllib3"):
                raise
            raise UserError(self._unusable(error)) from error

    def _unusable(self, error: Exception) -> str:
        uri, reason = (re.sub(r"//[^/@\s]*@", "//", text) for text in (self.uri, str(error)))  # no passwords in a log
        first = reason.strip().partition("\n")[0][:200]
        fix = "Start that server, or unset MLFLOW_TRACKING_URI to use mlflow.db here"
        if self.database:
            fix = f"Check the folder and its free space; mend {self.database} by `mlflow db upgrade {uri}` or delete it"
        return (
            f"MLflow at {uri} cannot be used: {first}\n{fix}; then run `collapselab track`. "
            "No training is lost: every result stands in the study's files."
        )

    def experiment(self, client: MlflowClient) -> Experiment:
        """The study's experiment with its runs, made where there is none and restored where it was deleted."""
        found = client.get_experiment_by_name(self.study)
        if found is None:
            kind = {"mlflow.experimentKind": "custom_model_development"}  # else the UI asks on the first visit
            return Experiment(client.create_experiment(self.study, self.location, kind), self.location or "")
        if found.lifecycle_stage != "active":
            client.restore_experiment(found.experiment_id)
        return Experiment(found.experiment_id, found.artifact_location, runs=_search(client, found.experiment_id))

    def moved(self, experiment: Experiment) -> bool:
        """Whether a database moved together with its folder and still names the old place of its artifacts."""
        ours = experiment.location.endswith(f"/mlartifacts/{self.study}")
        return self.database is not None and ours and experiment.location != self.location

    def relocate(self) -> None:
        """Mend the artifact paths, absolute in SQLite, where the folder has moved."""
        experiment = self.peek()
        if not experiment or not self.moved(experiment) or not self.database:
            return
        paths = {"old": experiment.location, "new": self.location, "id": experiment.id}
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
                update = f"UPDATE {table} SET {column} = replace({column}, :old, :new) WHERE experiment_id = :id"
                connection.execute(update, paths)


def home(root: Path) -> Path:
    """The repository's own root, also from the temporary copy that `dvc exp run --queue` works in and then deletes."""
    before, inside, _ = root.resolve().as_posix().partition("/.dvc/tmp/exps/")
    return Path(before) if inside else root.resolve()


def comparison_url(experiment: str, runs: list[str], base: str = UI) -> str:
    """The page of MLflow's UI that compares these runs; of more than fit into a link, that lists the experiment's."""
    if len(runs) > LINKED:
        return f"{base}/#/experiments/{experiment}"
    listed = quote(str(runs).replace("'", '"').replace(" ", ""), safe="[],")
    return f"{base}/#/compare-runs?runs={listed}&experiments=[%22{experiment}%22]"


def _create(database: Path) -> None:
    """MLflow's tables, whole or not at all: its migrations take seconds and can't go on from where they were stopped."""
    from mlflow import MlflowClient

    from collapselab.files import replacing  # with NumPy: only where MLflow is imported too

    with replacing(database) as begun:
        MlflowClient(f"sqlite:///{begun}").search_experiments(max_results=1)


def check_port(port: int) -> None:
    """Raises UserError where something serves on this port of localhost: MLflow would end as if all were well."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was left a moment ago is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"port {port} cannot be used ({reason}): choose another with --port NUMBER") from error


def _read(connection: sqlite3.Connection, study: str) -> Experiment | None:
    row = connection.execute(
        "SELECT experiment_id, artifact_location, lifecycle_stage FROM experiments WHERE name = ?", (study,)
    ).fetchone()
    if row is None:
        return None
    found: dict[tuple[str, str], dict[str, str]] = {}
    marks = ",".join("?" * len(READ))
    for run, status, key, value in connection.execute(
        "SELECT run_uuid, status, key, value FROM runs JOIN tags USING (run_uuid) "
        f"WHERE experiment_id = ? AND lifecycle_stage = 'active' AND key IN ({marks}) ORDER BY start_time, run_uuid",
        (row[0], *READ),
    ):
        found.setdefault((run, status), {})[key] = value
    runs = [Run(id, status, tags) for (id, status), tags in found.items() if "stage" in tags]
    return Experiment(str(row[0]), row[1], row[2] == "active", runs)


def _search(client: MlflowClient, experiment: str) -> list[Run]:
    runs, token = [], None
    while True:
        page = client.search_runs([experiment], "tags.stage IS NOT NULL", max_results=1000, page_token=token)
        runs += [Run(run.info.run_id, run.info.status, run.data.tags) for run in page]
        token = page.token
        if not token:
            return runs


def fill(client: MlflowClient, run: str, shown: Content) -> None:
    """Log all that a run shows, in as few calls as MLflow's limits allow."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    params = [Param(name, value) for name, value in shown.params.items()]
    tags = [RunTag(name, value) for name, value in shown.tags.items()]
    log_points(client, run, shown.metrics, params, tags)
    if shown.data:
        data = Dataset(shown.data.name, shown.data.digest[:12], "local", f'{{"uri": "data/{shown.data.name}"}}')
        client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    for name, text in shown.texts.items():
        client.log_text(run, text, name)
    for path, folder in shown.artifacts:
        (client.log_artifacts if path.is_dir() else client.log_artifact)(run, str(path), folder or None)


def log_points(
    client: MlflowClient, run: str, points: list[Point], params: Sequence[Param] = (), tags: Sequence[RunTag] = ()
) -> None:
    """Metrics in blocks, one by one they take a hundred times as long; params and tags go with the first block."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in points]
    first = BATCH - len(params) - len(tags)
    client.log_batch(run, metrics[:first], params, tags)
    for start in range(first, len(metrics), BATCH):
        client.log_batch(run, metrics[start : start + BATCH])
