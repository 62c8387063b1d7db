"""`collapselab diagnose`: read everything, find out, then write; in that order, so that a bad input leaves nothing behind."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from threadpoolctl import threadpool_limits

from collapselab.collapse.diagnosis import DRAWS
from collapselab.collapse.thresholds import THRESHOLDS, load_thresholds
from collapselab.diagnose.encode import encode
from collapselab.diagnose.examine import Outcome, examine
from collapselab.diagnose.history import signatures
from collapselab.diagnose.inputs import Subject, read_reference, read_subject
from collapselab.errors import UserError
from collapselab.files import write_bytes, write_text

ONE_THREAD = 1e11  # multiplications of a covariance, seconds of one thread, from which all cores help


@dataclass(frozen=True)
class Options:
    """What the command line says; paths as they were given. `weights` and what follows it embed images first."""

    files: Sequence[Path] = ()
    sides: Mapping[str, Path] = field(default_factory=dict)
    layer: str = ""
    reference: Path | None = None
    thresholds: Path | None = None
    history: Path | None = None
    draws: int = DRAWS
    weights: Path | None = None
    backbone: str = ""
    data: Path | None = None
    size: int = 0
    images: int = 0
    cosine: bool = False
    html: Path | None = None
    plot: Path | None = None
    as_json: bool = False


def run(options: Options) -> Outcome:
    """Everything that the command does, except its exit code. Raises UserError."""
    _check_outputs(options)
    thresholds = load_thresholds(options.thresholds) if options.thresholds else THRESHOLDS
    subject = _subject(options)
    reference = read_reference(options.reference, options.layer) if options.reference else None
    if options.cosine:
        subject, reference = subject.of_cosines(), reference and reference.of_cosines()
    history = options.history or subject.history
    hints = signatures(history, subject.snapshot) if history else []
    with threadpool_limits(_threads(subject)):
        outcome = examine(subject, reference, thresholds=thresholds, signatures=hints, draws=options.draws)
    _write(outcome, options)
    if options.as_json:
        print(json.dumps(encode(outcome), allow_nan=False))
    else:
        from collapselab.diagnose.terminal import show

        show(outcome)
    return outcome


def _threads(subject: Subject) -> int | None:
    """One, so that values don't depend on the number of cores and a busy core costs nothing; all for very large products."""
    work = max(len(e.sample) * e.sample.shape[1] ** 2 for e in subject.snapshot.layers.values())
    return None if work > ONE_THREAD else 1


def _subject(options: Options) -> Subject:
    network = {"--weights": options.weights, "--backbone": options.backbone, "--data": options.data}
    given = [name for name, value in network.items() if value]
    if not given:
        if not options.files:
            raise UserError(
                "nothing to diagnose: give a FILE of features, or --weights, --backbone and --data to make some"
            )
        return read_subject(options.files, options.layer, options.sides)
    if options.files:
        raise UserError(f"{given[0]} makes the features itself: leave out {options.files[0]}")
    missing = [name for name in network if name not in given]
    if missing:
        raise UserError(f"{', '.join(given)} also needs {' and '.join(missing)}")
    if options.sides:
        raise UserError(f"--{next(iter(options.sides))} belongs to a FILE: with --weights all is made from the images")
    from collapselab.diagnose.embed import embed

    assert options.weights and options.data
    return embed(options.weights, options.backbone, options.data, options.layer, options.size, options.images)


def _check_outputs(options: Options) -> None:
    """Before anything is computed: targets that could not be written, or would replace an input."""
    for name, path, suffixes in (("--html", options.html, (".html", ".htm")), ("--plot", options.plot, (".svg",))):
        if path is None:
            continue
        if path.suffix.lower() not in suffixes:
            raise UserError(f"{name} {path}: its name must end in {suffixes[0]}")
        if path.is_dir():
            raise UserError(f"{name} {path} is a folder: give a file in it")
        above = next(folder for folder in (path.parent, *path.parent.parents) if folder.exists())
        if not above.is_dir() or not os.access(above, os.W_OK):
            raise UserError(f"{name} {path}: {above} can't be written to, choose another place")


def _write(outcome: Outcome, options: Options) -> None:
    if not (options.html or options.plot):
        return
    from collapselab.diagnose.plot import spectra

    svg = spectra(outcome)
    page = ""
    if options.html:
        from collapselab.diagnose.page import page as render

        page = render(outcome, svg)
    if options.plot:
        write_bytes(options.plot, svg)
    if options.html:
        write_text(options.html, page)
