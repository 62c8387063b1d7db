"""What the stages left on disk, as the runs that MLflow should hold: a fingerprint for each.

Where nothing is new, tracking ends here and takes a fifth of a second, so only light modules are imported: PyYAML's C
loader in place of ruamel.yaml, neither pydantic nor NumPy nor MLflow.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from collapselab.errors import UserError

EVALUATIONS = ("knn", "linear_probe", "collapse")  # of all cells at once; each has its own part of what they write
WHOLE = ("download", "preview", *EVALUATIONS, "report")  # what the study run holds
CELL, STUDY = "cell", "study"  # the `stage` of the two kinds of run that are no single stage
# Sections of params.yaml that reach an evaluation only through the training it reads, whose fingerprint counts already.
OF_TRAINING = {"study", "regimes", "seeds", "data", "augmentations", "backbones", "training"}


class Key(NamedTuple):
    """What a run is about. There is at most one current run of each in an experiment."""

    stage: str
    regime: str = ""
    seed: str = ""

    @property
    def name(self) -> str:
        cell = f"{self.regime} seed {self.seed}"
        return cell if self.stage == CELL else f"{cell} {self.stage}" if self.regime else self.stage


@dataclass(frozen=True)
class Wanted:
    """A run that MLflow should hold, finished, under the current run of `parent`."""

    key: Key
    fingerprint: str
    parent: Key | None = None


@dataclass
class State:
    """All wanted runs, parents before their children; keys of which nothing can be said; and why."""

    wanted: list[Wanted] = field(default_factory=list)
    unknown: set[Key] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def miss(self, key: Key, reason: str) -> None:
        self.unknown.add(key)
        if reason not in self.notes:
            self.notes.append(reason)


def digest(value: Any) -> str:
    """sha256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Tree:
    """The files of one study below the repository's root. Reading is lazy and each file is read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        params = _params(root / "params.yaml")
        try:
            self.study, self.source = str(params["study"]), str(params["data"]["source"])
            seeds = {str(regime): entry.get("seeds") or params["seeds"] for regime, entry in params["regimes"].items()}
            self.seeds = {regime: [str(seed) for seed in chosen] for regime, chosen in seeds.items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"params.yaml is incomplete ({error}): `dvc repro` names every mistake in it") from error
        self.cells = [(regime, seed) for regime, chosen in self.seeds.items() for seed in chosen]
        self.runs = root / "runs" / self.study
        self.report = root / "reports" / self.study

    @cached_property
    def lock(self) -> dict[str, Any]:
        """dvc.lock's entry of each stage."""
        path = self.root / "dvc.lock"
        try:
            return dict((_yaml(path) or {}).get("stages") or {})
        except FileNotFoundError:
            return {}
        except (yaml.YAMLError, AttributeError) as error:
            fix = "restore it with git, or delete it and run `dvc repro`"
            raise UserError(f"{path} cannot be read ({error}): {fix}") from error

    @cached_property
    def results(self) -> dict[str, Any]:
        """The study-wide results that are there, by stage; `summary` is the report's metrics.json."""
        files = {
            "knn": self.runs / "knn.json",
            "linear_probe": self.runs / "linear_probe.json",
            "collapse": self.runs / "collapse" / "diagnosis.json",
            "summary": self.report / "metrics.json",
        }
        return {name: _json(path) for name, path in files.items() if path.exists()}

    @cached_property
    def measurements(self) -> dict[tuple[str, str], list[str]]:
        """The lines of collapse/metrics.csv of each (regime, seed), headers left out."""
        path = self.runs / "collapse" / "metrics.csv"
        cells: dict[tuple[str, str], list[str]] = {}
        try:
            for line in path.read_text().splitlines()[1:] if path.exists() else ():
                regime, seed, _ = line.split(",", 2)
                cells.setdefault((regime, seed), []).append(line)
        except ValueError as error:  # bytes that are no text, too
            raise _damaged(path, error) from error
        return cells

    def pretrained(self, regime: str, seed: str) -> Path:
        return self.runs / "pretrain" / regime / f"seed-{seed}"

    def outdated(self, stage: str, regime: str) -> bool:
        """Whether a stage last ran on another configuration of a regime than the one trained, as in mid-pipeline."""
        trained, seen = (self.lock.get(name, {}).get("params", {}) for name in (f"pretrain@{regime}", stage))
        now = trained.get("params.yaml", {}).get(f"regimes.{regime}")
        then = seen.get("params.yaml", {}).get("regimes", {}).get(regime)
        return None not in (now, then) and now != then

    def summary(self, regime: str, seed: str) -> dict[str, Any] | None:
        """A cell's entry in the report's metrics.json, where the report knows of its training."""
        known = "report" in self.lock and not self.outdated("report", regime)
        return self.result("summary", regime, seed) if known else None

    def result(self, name: str, regime: str, seed: str) -> dict[str, Any] | None:
        """A cell's entry in one of `results`."""
        try:
            entries = self.results.get(name, {}).get("regimes", {}).get(regime, [])
            return next((entry for entry in entries if str(entry["seed"]) == seed), None)
        except (AttributeError, KeyError, TypeError) as error:
            raise _damaged(f"the {name} results of {self.study}", error) from error

    def absent(self, stage: str) -> str | None:
        """Why a stage's output cannot be tracked; None where it can."""
        if stage not in self.lock:
            return f"{stage} has no entry in dvc.lock"
        gone = [out["path"] for out in self.lock[stage].get("outs", []) if not (self.root / out["path"]).exists()]
        return f"{stage}: {gone[0]} is missing" if gone else None

    def held(self) -> list[str]:
        """The stages that the study run holds."""
        return [stage for stage in WHOLE if not self.absent(stage)]

    def finished(self, regime: str, seed: str) -> bool:
        """Whether a cell's training has ended: its weights are written last."""
        return (self.pretrained(regime, seed) / "weights.safetensors").exists()


def read_state(tree: Tree) -> State:
    """Every run that the files of `tree` call for."""
    state = State()
    _whole(tree, state)
    for regime, seed in tree.cells:
        _cell(tree, state, regime, seed)
    return state


def _cell(tree: Tree, state: State, regime: str, seed: str) -> None:
    """The parent of one regime and seed, and its children."""
    parent, pretrain = Key(CELL, regime, seed), Key("pretrain", regime, seed)
    evaluations = [Key(stage, regime, seed) for stage in EVALUATIONS]
    training = _training(tree, state, pretrain)
    if training is None:
        state.unknown |= {parent, pretrain, *evaluations}
        return
    children = [Wanted(pretrain, training, parent)]
    for key in evaluations:
        fingerprint = _evaluation(tree, state, key, training)
        if fingerprint:
            children.append(Wanted(key, fingerprint, parent))
    whole = digest([[child.fingerprint for child in children], tree.summary(regime, seed)])
    state.wanted += [Wanted(parent, whole), *children]


def _training(tree: Tree, state: State, key: Key) -> str | None:
    entry, folder = tree.lock.get(f"pretrain@{key.regime}"), tree.pretrained(key.regime, key.seed)
    if entry is None:
        state.miss(key, f"pretrain@{key.regime} has no entry in dvc.lock")
    elif not all(tree.finished(key.regime, seed) for seed in tree.seeds[key.regime]):  # one stage, all its seeds
        state.miss(key, f"{folder.parent.relative_to(tree.root)} is not finished")
    else:
        # The files count too: while a regime trains again its old entry stands in dvc.lock, beside new files.
        return digest([key, entry, [_sha256(folder / name) for name in ("config.json", "history.csv")]])
    return None


def _evaluation(tree: Tree, state: State, key: Key, training: str) -> str | None:
    """Over the cell's training and its own part of the result, so that another regime's change leaves it alone."""
    entry = tree.lock.get(key.stage)
    result = tree.result(key.stage, key.regime, key.seed)
    if entry is None:
        state.miss(key, f"{key.stage} has no entry in dvc.lock")
    elif tree.outdated(key.stage, key.regime):
        state.miss(key, f"{key.stage} is older than pretrain@{key.regime}")
    elif result is None:
        state.miss(key, f"{key.stage} has no result for {key.regime} seed {key.seed}")
    elif key.stage == "collapse" and (key.regime, key.seed) not in tree.measurements:
        state.miss(key, f"collapse/metrics.csv has no line of {key.regime} seed {key.seed}")
    else:
        curves = tree.measurements[key.regime, key.seed] if key.stage == "collapse" else None
        return digest([key, _own(entry), training, result, curves])
    return None


def _own(entry: dict[str, Any]) -> dict[str, Any]:
    """An evaluation's lock entry without what holds the other regimes too."""
    return {
        "cmd": entry.get("cmd"),
        "deps": [dep for dep in entry.get("deps", []) if not dep["path"].startswith("runs/")],
        "params": {
            file: {key: value for key, value in values.items() if key.split(".")[0] not in OF_TRAINING}
            for file, values in entry.get("params", {}).items()
        },
    }


def _whole(tree: Tree, state: State) -> None:
    """The study run, over the entries of all stages whose output is here."""
    for stage in WHOLE:
        reason = tree.absent(stage)
        if reason:
            state.miss(Key(STUDY), reason)
    parts = {stage: tree.lock[stage] for stage in tree.held()}
    if parts:
        state.unknown.discard(Key(STUDY))
        state.wanted.append(Wanted(Key(STUDY), digest(parts)))


def _damaged(what: object, error: Exception) -> UserError:
    return UserError(
        f"{what} cannot be read ({error!r}): `dvc checkout --force` or `dvc repro` brings back what was written"
    )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _yaml(path: Path) -> Any:
    return yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def _params(path: Path) -> dict[str, Any]:
    try:
        return dict(_yaml(path))
    except (OSError, yaml.YAMLError, TypeError, ValueError):
        from collapselab.config.study import read_params

        return read_params(path)  # its errors say what is wrong and what to do


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        from collapselab.files import read_json

        return read_json(path)
