"""What the command is given -> what is diagnosed: one or several layers, and the start that they are graded against."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from collapselab.collapse.snapshot import Snapshot, is_snapshot, read_snapshot
from collapselab.config.base import nearest
from collapselab.diagnose.arrays import File, open_file
from collapselab.diagnose.given import SIDES, Given, evidence
from collapselab.errors import UserError
from collapselab.files import read_json
from collapselab.runs import step_of

FEATURES = ("features", "embeddings")
Part = TypeVar("Part")


@dataclass(frozen=True)
class Subject:
    """What is diagnosed, or what it is compared with.

    Attributes:
        name: how people know it: the file's, or the folder's.
        snapshot: its layers; those of the last snapshot where it is a run.
        start: the same network's random initialisation, where it is known.
        steps: all snapshots of a run, in order; empty for anything else.
        bare: plain arrays, of which nobody said which layer is the representation: all kinds count.
        history: the run's history.csv.
        guards_off: guards against collapse that the run does without.
        cosines: whether the loss is said to compare cosines alone (see `Evidence.directional`).
        notes: what a reader must know about how the features came about.
    """

    name: str
    snapshot: Snapshot
    start: Snapshot | None = None
    steps: tuple[Path, ...] = ()
    bare: bool = False
    history: Path | None = None
    guards_off: tuple[str, ...] = ()
    cosines: bool = False
    notes: tuple[str, ...] = field(default=())

    def of_cosines(self) -> Subject:
        """The same of a network whose loss compares cosines alone, whatever its files say."""
        start = self.start and self.start.of_cosines()
        return replace(self, snapshot=self.snapshot.of_cosines(), start=start, cosines=True)

    def read(self, step: Path) -> Snapshot:
        """One of `steps`."""
        snapshot = _whole(step, read_snapshot)
        return snapshot.of_cosines() if self.cosines else snapshot


def read_subject(files: Sequence[Path], layer: str = "", sides: Mapping[str, Path] | None = None) -> Subject:
    """Array files, snapshots of one run, or a folder of them.

    Args:
        layer: the array or layer to take; all layers of a snapshot, the only array of a file where it is empty.
        sides: name of SIDES -> the file that an option gave for it.

    Raises UserError that names the file and the fix.
    """
    folders = [path for path in files if path.is_dir()]
    if folders:
        if len(files) > 1:
            raise UserError(
                f"{folders[0]} is a run: give it alone, and what it should be compared with as --reference {files[-1]}"
            )
        return _run(_snapshots_in(folders[0]), folders[0], layer, sides or {})
    opened = [open_file(path) for path in files]
    snapshots = [file.path for file in opened if is_snapshot(file.about)]
    if len(snapshots) == len(files):
        return _run(snapshots, None, layer, sides or {})
    if snapshots:
        raise UserError(f"{snapshots[0]} is a snapshot, others are plain arrays: diagnose them one after the other")
    return _bare(opened, layer, sides or {})


def read_reference(path: Path, layer: str = "") -> Subject:
    """What a subject is compared with: at the same layer, where it has one of that name. Raises UserError as `read_subject`."""
    if layer:
        try:
            return read_subject([path], layer)
        except UserError:
            pass  # it has no such layer, or another fault, which is found again below
    return read_subject([path])


# ---- plain arrays


def _bare(files: Sequence[File], layer: str, options: Mapping[str, Path]) -> Subject:
    names = _names([file.path for file in files], layer)
    single = [name for name in options if name != "labels"]
    if len(files) > 1 and single:
        raise UserError(f"--{single[0]} belongs to one layer: give one FILE at a time with it")
    given = {name: _side(name, path) for name, path in options.items()}
    layers = {}
    for name, file in zip(names, files, strict=True):
        key = _chosen(file, layer)
        layers[name] = evidence(_given(file, key), _own_sides(file, key) | given)
    return Subject(
        name=", ".join(_shown(file.path) for file in files),
        snapshot=Snapshot(0, names[0], tuple(names), layers),
        bare=True,
        notes=tuple(note for file in files for note in _left_out(file, options)),
    )


def _left_out(file: File, options: Mapping[str, Path]) -> list[str]:
    """What lies beside the features under its usual name and can't be read, where no option gives it."""
    return [
        f"{name} in {_shown(file.path)} were left out: they are Python objects, which only a pickle could give; save them as plain "
        f"numbers or text, np.asarray({name}, dtype='U') for names"
        for name in SIDES
        if name in file.refused and name not in options
    ]


def _shown(path: str | Path) -> str:
    """A path or a part of one as it can be printed and drawn: what is no text in a file's name becomes a question mark."""
    return os.fsencode(path).decode(errors="replace")


def _names(paths: Sequence[Path], layer: str) -> list[str]:
    """A layer is called as its file, or, inside a single file, as its array."""
    if len(paths) == 1:
        return [layer or _shown(paths[0].stem)]
    names = [_shown(path.stem) for path in paths]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"two files are called {name}: layers are named by their files, rename one")
    return names


def _chosen(file: File, layer: str) -> str:
    """Key of the features in a file of arrays."""
    if layer:
        if layer in file.arrays:
            return layer
        if list(file.arrays) == [""]:
            raise UserError(f"--layer {layer}: {file.path} holds one array without a name: leave --layer out")
        raise UserError(f"--layer {layer}: not in {file.path}; {nearest(layer, file.arrays)}")
    if list(file.arrays) == [""]:
        return ""
    named = [name for name in FEATURES if name in file.arrays]
    flat = [
        name
        for name, array in file.arrays.items()
        if array.ndim == 2 and array.dtype.kind in "fiu" and name not in SIDES
    ]
    if len(named) == 1 or (not named and len(flat) == 1):
        return (named or flat)[0]
    if not flat and len(file.arrays) == 1:
        return next(iter(file.arrays))  # its own message says what is wrong with it
    raise UserError(f"{file.path} holds {file.list()}: choose the features, [images, dimensions], with --layer NAME")


def _given(file: File, key: str) -> Given:
    return Given(file.arrays[key], f"{file.path}: {key}" if key else str(file.path))


def _own_sides(file: File, key: str) -> dict[str, Given]:
    """Labels and the like that lie in the features' own file under their usual names.

    Beside a layer that was chosen by name only the labels are sure to belong to it.
    """
    count = len(file.arrays[key]) if file.arrays[key].ndim else 0
    main = key in FEATURES or not any(name in file.arrays for name in FEATURES)
    found = {name: _given(file, name) for name in SIDES if name in file.arrays and name != key}
    if not main:
        found = {name: g for name, g in found.items() if name == "labels" and g.array.shape[:1] == (count,)}
    return found


def _side(name: str, path: Path) -> Given:
    """The array of an option's file: the only one, or the one that has the option's name."""
    file = open_file(path)
    where = f"--{name} {path}"
    if name in file.arrays:
        return Given(file.arrays[name], where)
    if len(file.arrays) == 1:
        return Given(next(iter(file.arrays.values())), where)
    raise UserError(f"{where} holds {file.list()}: call the one that is meant {name!r}, or save it alone")


# ---- snapshots


def _snapshots_in(folder: Path) -> list[Path]:
    for place in (folder, folder / "snapshots"):
        found = sorted(place.glob("step-*.safetensors"))
        if found:
            return found
    seeds = sorted(path.parent.name for path in folder.glob("*/snapshots") if path.is_dir())
    hint = (
        f"choose one of its runs: {', '.join(seeds)}"
        if seeds
        else "give a folder that pretraining wrote, or array files"
    )
    raise UserError(f"{folder} holds no snapshots (step-*.safetensors): {hint}")


def _whole(path: Path, read: Callable[[Path], Part]) -> Part:
    """What `read` finds in a snapshot. Raises UserError where its metadata isn't what pretraining writes."""
    try:
        return read(path)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path} is no whole snapshot, its metadata is not what pretraining writes: {error!r}"
        ) from error


def _run(paths: Sequence[Path], folder: Path | None, layer: str, options: Mapping[str, Path]) -> Subject:
    """Snapshots of one run: the last is diagnosed, the first is its start."""
    found = {path: _whole(path, step_of) for path in paths}
    ordered = sorted(paths, key=found.__getitem__)
    first, last = ordered[0], ordered[-1]
    steps = [found[path] for path in ordered]
    for step in steps:
        if steps.count(step) > 1:
            raise UserError(f"two snapshots are of step {step}: give one of them as --reference instead")
    now, before = _whole(last, read_snapshot), _whole(first, read_snapshot)
    if now.representation != before.representation or set(now.layers) != set(before.layers):
        raise UserError(f"{first} and {last} are of different networks: give one of them as --reference instead")
    snapshot = _with_sides(_only(now, layer, last), options, str(last))
    start = _only(before, layer, first) if len(ordered) > 1 else None
    history = folder / "history.csv" if folder else None
    config = folder / "config.json" if folder else None
    about = read_json(config) if config and config.is_file() else {}
    guards = about.get("guards_off") if isinstance(about, dict) else None
    return Subject(
        name=_shown(folder or last),
        snapshot=snapshot.beside(start) if start else snapshot,
        start=start,
        steps=tuple(ordered) if start else (),
        history=history if history and history.is_file() else None,
        guards_off=tuple(map(str, guards)) if isinstance(guards, list) else (),
    )


def _only(snapshot: Snapshot, layer: str, path: Path) -> Snapshot:
    """One layer of a snapshot, whose kinds then all count."""
    if not layer:
        return snapshot
    if layer not in snapshot.layers:
        raise UserError(f"--layer {layer}: not in {path}; {nearest(layer, snapshot.layers)}")
    return Snapshot(snapshot.step, layer, (layer,), {layer: snapshot.layers[layer]})


def _with_sides(snapshot: Snapshot, options: Mapping[str, Path], where: str) -> Snapshot:
    """What the options add to the layers of a snapshot."""
    if not options:
        return snapshot
    single = [name for name in options if name != "labels"]
    if single and len(snapshot.layers) > 1:
        raise UserError(
            f"--{single[0]} belongs to one layer: choose it with --layer, of {', '.join(sorted(snapshot.layers))}"
        )
    given = {name: _side(name, path) for name, path in options.items()}
    layers = {}
    for name, known in snapshot.layers.items():
        softmax = {"probabilities": Given(known.probabilities, where)} if known.probabilities is not None else {}
        added = evidence(Given(known.sample, f"{where}: {name}"), softmax | given)
        changes = {side: getattr(added, side) for side in given}
        if "probabilities" in given:
            changes["entropies"] = added.entropies
        layers[name] = replace(known, **changes)
    return replace(snapshot, layers=layers)
