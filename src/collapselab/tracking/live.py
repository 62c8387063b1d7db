"""Follow trainings in progress: their curves so far, in runs that give way to the finished ones."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from collapselab.files import sha256_file
from collapselab.tracking.content import Point, history
from collapselab.tracking.disk import Key, Tree
from collapselab.tracking.server import Experiment, Store, log_points
from collapselab.training.workspace import in_progress

if TYPE_CHECKING:
    from mlflow import MlflowClient

Logged = dict[str, dict[str, int]]  # run -> metric -> the last step logged


def follow(root: Path, interval: float = 5.0, say: Callable[[str], None] = print) -> None:
    """Log the rows of every history.csv that grows, each `interval` seconds, until all cells of the study have trained.

    Waits where no training is in progress yet. Ctrl-C ends it, and a later call goes on after the last row logged.
    `track` deletes these runs once it has logged the finished ones, so that no curve is there twice.

    Raises:
        UserError: where params.yaml is unreadable or MLflow cannot be used; no training notices.
    """
    tree = Tree(root)
    store = Store(root, tree.study)
    seen: set[Key] = set()
    logged: Logged = {}
    say(f"following {tree.study}, every {interval:g} s; Ctrl-C ends")
    while True:
        done = all(tree.finished(*cell) for cell in tree.cells)
        for key in _growing(tree) - seen:
            say(f"{key.regime} seed {key.seed} is training")
            seen.add(key)
        if seen:
            with store.alone(), store.client() as client:
                _catch_up(client, store.experiment(client), tree, seen, logged)
        if seen and done:
            say("all cells have trained; `dvc repro` goes on to evaluate and track them")
            return
        time.sleep(interval)


def _growing(tree: Tree) -> set[Key]:
    """The cells whose training has begun and not ended."""
    begun = [cell for cell in tree.cells if in_progress(tree.root, tree.study, *cell)]
    return {Key("pretrain", *cell) for cell in begun if not tree.finished(*cell)}


def _catch_up(client: MlflowClient, experiment: Experiment, tree: Tree, keys: set[Key], logged: Logged) -> None:
    """Log what the histories of `keys` have grown by since the last time."""
    live = {run.key: run for run in experiment.runs if "live" in run.tags}
    for key in sorted(keys):
        folder = in_progress(tree.root, tree.study, key.regime, key.seed) or tree.pretrained(key.regime, key.seed)
        run, found = live.get(key), _read(folder)
        if found is None:
            continue
        config, points = found
        if run and run.tags.get("config") != config:  # it trains again, with another configuration
            client.delete_run(run.id)
            run = None
        if run is None and tree.finished(key.regime, key.seed):
            continue  # `track` has logged it already
        identity = run.id if run else _open(client, experiment.id, tree.study, key, config)
        last = logged.setdefault(identity, _last(client, identity, {name for name, _, _ in points}) if run else {})
        new = [(name, value, step) for name, value, step in points if step > last.get(name, -1)]
        log_points(client, identity, new)
        last |= {name: step for name, _, step in new}


def _read(folder: Path) -> tuple[str, list[Point]] | None:
    """The training's configuration, as a hash, and the points so far; None where it was cleared away meanwhile."""
    try:
        config, text = sha256_file(folder / "config.json"), (folder / "history.csv").read_text()
    except FileNotFoundError:
        return None
    whole = text[: text.rfind("\n") + 1]  # the last line may be half written
    return config, history(csv.DictReader(whole.splitlines()))


def _last(client: MlflowClient, run: str, names: set[str]) -> dict[str, int]:
    """The last step that an earlier call logged, metric by metric."""
    return {name: max((point.step for point in client.get_metric_history(run, name)), default=-1) for name in names}


def _open(client: MlflowClient, experiment: str, study: str, key: Key, config: str) -> str:
    tags = key._asdict() | {"study": study, "config": config, "live": "true"}
    return str(client.create_run(experiment, run_name=f"{key.name} (live)", tags=tags).info.run_id)
