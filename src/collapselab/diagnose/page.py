"""An outcome as one self-contained page, light or dark as its reader has it."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from collapselab.collapse.kind import load_kinds
from collapselab.collapse.registry import load_metrics
from collapselab.diagnose.compare import sentences
from collapselab.diagnose.content import (
    all_metrics,
    described,
    headline,
    kind_rows,
    number,
    rank_header,
    rank_rows,
    spoken,
    supplies,
)
from collapselab.diagnose.examine import Outcome
from collapselab.report.svg import inline

HERE = Path(__file__).parent


def page(outcome: Outcome, spectrum: bytes) -> str:
    """The page; `spectrum` is the SVG of `plot.spectra`."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        undefined=StrictUndefined,
        autoescape=select_autoescape(["html.j2"]),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    specs = load_metrics()
    return environment.get_template("page.html.j2").render(
        # Text in it is drawn as paths, so nothing in it can be markup of the user's.
        spectrum=Markup(inline(spectrum, "spectrum")),
        style=Markup((HERE / "style.css").read_text()),
        headline=headline(outcome),
        name=outcome.subject.name,
        described=described(outcome),
        verdict=outcome.verdict,
        several=len(outcome.layers) > 1,
        kinds=kind_rows(outcome),
        warnings=outcome.warnings,
        changes=sentences(outcome.comparison) if outcome.comparison else [],
        moved=_moved(outcome),
        rank_header=rank_header(outcome),
        layers=[
            {"name": layer, "ranks": rank_rows(outcome, layer), "metrics": all_metrics(outcome, layer, specs)}
            for layer in outcome.layers
        ],
        undetermined=[(kinds, _options(supply)) for kinds, supply in supplies(outcome)],
        pages=list(load_kinds().values()),
    )


def _options(text: str) -> Markup:
    """Options as code that no line breaks: "--" invites one."""
    return Markup(re.sub(r"--[a-z]+ FILE", r"<code>\g<0></code>", str(escape(text))))


def _moved(outcome: Outcome) -> list[tuple[str, ...]]:
    if outcome.comparison is None:
        return []
    several = len(outcome.comparison.layers) > 1
    return [
        (
            f"{layer}: {spoken(moved.metric)}" if several else spoken(moved.metric),
            number(moved.value),
            number(moved.reference),
            number(moved.value / moved.reference),
        )
        for layer, change in outcome.comparison.layers.items()
        for moved in change.moved
    ]
