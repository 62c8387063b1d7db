"""Bring MLflow to what the files say: keep what is current, log what is new, mark what is superseded."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collapselab.console import progress
from collapselab.tracking.disk import CELL, STUDY, Key, State, Tree, Wanted, read_state
from collapselab.tracking.server import PARENT, UI, Experiment, Run, Store, comparison_url, fill

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Tracked:
    """What one tracking did; `comparison` is a link into MLflow's UI, empty where there is no run to compare."""

    experiment: str
    created: int = 0
    kept: int = 0
    superseded: int = 0
    comparison: str = ""
    notes: list[str] = field(default_factory=list)

    def lines(self, port: int | None = None) -> list[str]:
        """The outcome in words: what was done, what could not be, and where to look (`port`: of a UI that is about to run)."""
        serve = "`make ui`, then " if self.comparison.startswith(UI) and port is None else ""
        done = f"MLflow: {self.created} runs logged, {self.kept} kept, {self.superseded} superseded"
        where = [f"compare them: {serve}{self.link(port)}"] if self.comparison else []
        return [done, *(f"not tracked: {note}" for note in self.notes), *where]

    def link(self, port: int | None = None) -> str:
        """The comparison, on the port that the local UI is served on."""
        return self.comparison if port is None else self.comparison.replace(UI, f"http://127.0.0.1:{port}", 1)


@dataclass
class Plan:
    """The difference between the files and MLflow."""

    keep: dict[Key, Run] = field(default_factory=dict)
    create: list[Wanted] = field(default_factory=list)
    move: list[tuple[Run, Key]] = field(default_factory=list)
    supersede: list[Run] = field(default_factory=list)
    revive: list[Run] = field(default_factory=list)
    delete: list[Run] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.create, self.move, self.supersede, self.revive, self.delete))


def compare(state: State, runs: list[Run]) -> Plan:
    """What is to be done so that MLflow holds each wanted run once, and marks every other version.

    A run of which the files say nothing at present is left alone. One that was never finished, or that followed a
    training whose end is logged now, is deleted.
    """
    wanted = {item.key: item for item in state.wanted}
    plan = Plan()
    for run in runs:
        known, want = run.key not in state.unknown, wanted.get(run.key)
        if "live" in run.tags:
            plan.delete += [run] * known
        elif run.status != "FINISHED":
            plan.delete.append(run)
        elif want and want.fingerprint == run.tags.get("fingerprint") and run.key not in plan.keep:
            plan.keep[run.key] = run
            plan.revive += [run] * ("superseded" in run.tags)
        elif known and "superseded" not in run.tags:
            plan.supersede.append(run)
    plan.create = [item for item in state.wanted if item.key not in plan.keep]
    for key, run in plan.keep.items():
        parent = wanted[key].parent
        if parent and (parent not in plan.keep or run.tags.get(PARENT) != plan.keep[parent].id):
            plan.move.append((run, parent))
    return plan


def track(root: Path) -> Tracked:
    """Bring MLflow to what the files below `root` say, and leave it alone where it is there already.

    Safe to interrupt, and to run from several processes at once.

    Raises:
        UserError: where params.yaml, dvc.lock or a result is unreadable, or MLflow cannot be used.
    """
    tree = Tree(root)
    state, store = read_state(tree), Store(root, tree.study)
    done = _already(store, state)
    if done:
        return done
    with store.alone():
        store.relocate()
        done = _already(store, state)  # another process may have done the work meanwhile
        if done:
            return done
        with store.client() as client:
            experiment = store.experiment(client)
            plan = compare(state, experiment.runs)
            created = _apply(client, experiment, tree, plan)
    return _tracked(store, experiment, state, plan, created)


def _already(store: Store, state: State) -> Tracked | None:
    """The outcome where nothing is to be done, as far as that can be told without MLflow."""
    experiment = store.peek()
    if experiment is None:
        return None if state.wanted else Tracked("", notes=state.notes)
    plan = compare(state, experiment.runs)
    if plan or not experiment.active or store.moved(experiment):
        return None
    return _tracked(store, experiment, state, plan, {})


def _tracked(store: Store, experiment: Experiment, state: State, plan: Plan, created: dict[Key, str]) -> Tracked:
    ids = {key: run.id for key, run in plan.keep.items()} | created
    cells = [ids[item.key] for item in state.wanted if item.key.stage == CELL]
    link = comparison_url(experiment.id, cells, store.page) if cells else ""
    return Tracked(experiment.id, len(created), len(plan.keep), len(plan.supersede), link, state.notes)


def _apply(client: MlflowClient, experiment: Experiment, tree: Tree, plan: Plan) -> dict[Key, str]:
    """Carry the plan out; the ids of the runs it created.

    A parent is finished after its children and marks come last: after an interruption the next plan mends the rest.
    """
    from collapselab.tracking.content import content

    ids = {key: run.id for key, run in plan.keep.items()}
    common = {"study": tree.study} | _commit(tree.root)
    # The UI lists the newest first: started in reverse, the study stands on top, its cells in the order of params.yaml.
    now = int(time.time() * 1000)
    starts = {item.key: now + place for place, item in enumerate(reversed(plan.create))}
    parents, children = ([item for item in plan.create if bool(item.parent) is child] for child in (False, True))
    with progress("MLflow runs") as advance:
        for item in parents:
            ids[item.key] = _open(client, experiment.id, item, common, starts[item.key])
        for run, parent in plan.move:
            client.set_tag(run.id, PARENT, ids[parent])
        for number, item in enumerate([*children, *parents], 1):
            if item.parent:
                tags = common | {PARENT: ids[item.parent]}
                ids[item.key] = _open(client, experiment.id, item, tags, starts[item.key])
            fill(client, ids[item.key], content(tree, item.key))
            client.set_terminated(ids[item.key], end_time=starts[item.key])  # tracking's own duration says nothing
            advance(number, len(plan.create))
    for run in plan.supersede:
        client.set_tag(run.id, "superseded", "true")
    for run in plan.revive:
        client.delete_tag(run.id, "superseded")
    for run in plan.delete:
        client.delete_run(run.id)
    return {item.key: ids[item.key] for item in plan.create}


def _open(client: MlflowClient, experiment: str, item: Wanted, common: dict[str, str], start: int) -> str:
    """A run in state RUNNING, which it keeps until all of it is there."""
    key = item.key
    tags = {name: value for name, value in key._asdict().items() if value} | common | {"fingerprint": item.fingerprint}
    if key.stage not in (CELL, STUDY):
        tags["dvc_stage"] = f"pretrain@{key.regime}" if key.stage == "pretrain" else key.stage
    return str(client.create_run(experiment, start, tags, run_name=key.name).info.run_id)


def _commit(root: Path) -> dict[str, str]:
    """The git commit under the tag that MLflow shows it by; nothing without git."""
    try:
        command = ["git", "rev-parse", "--verify", "--quiet", "HEAD"]
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"mlflow.source.git.commit": found.stdout.strip()}
