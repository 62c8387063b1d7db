"""What a head keeps of the representation and what it throws away: the same questions asked before it and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collapselab.report.accuracy import Section
from collapselab.report.inputs import Results, Run
from collapselab.report.tables import NONE, PIXELS, Table, mean, percent, signed

MOMENTS = {"initial": "at initialisation", "final": "at the end"}
ARROW = "\N{RIGHTWARDS ARROW}"


def projector_section(results: Results) -> Section | None:
    """None where no regime has features after a head, or nothing that could be asked of them."""
    factors = list(results.images["factors"]) if results.images else []
    if not results.labelled and not factors:
        return None
    rows = []
    for name, runs in results.regimes.items():
        head = head_of(runs[0])
        if head:
            rows += [
                [name, f"{runs[0].representation} {ARROW} {head}", *_row(results, runs, head, when, factors)]
                for when in MOMENTS
            ]
    if not rows:
        return None
    scores = ["k-NN", "linear probe"] if results.labelled else []
    without = [name for name, runs in results.regimes.items() if len(runs[0].layers) > 1 and not head_of(runs[0])]
    pixels = [PIXELS, "", "", *(percent(results.pixels[score]) for score in ("knn", "linear")[: len(scores)])]
    pixels += [_r2(results.images["factors"][factor]) for factor in factors]
    return Section(
        "projector",
        "What the head keeps and what it throws away",
        "The same asked of the representation and, after the arrow, of the layer that the loss acts on, which lies behind the head "
        "(a projector, or the layer to prototypes or classes): accuracy on test images with the change in points, "
        "and R2 of each recorded factor. Means over seeds. What falls across the arrow at the end, and did not at "
        "initialisation, the loss has taught the head to drop; the representation is what is kept for use."
        + (f" Not asked of {', '.join(without)}, whose head's outputs are not kept for all images." if without else ""),
        [("", Table(["regime", "layers", "when", *scores, *factors], [*rows, pixels]))],
    )


def head_of(run: Run) -> str | None:
    """The first layer of the loss whose features were kept, other than the representation."""
    return next((layer for layer in run.layers[1:] if layer in run.knn["layers"]), None)


def _row(results: Results, runs: Sequence[Run], head: str, when: str, factors: Sequence[str]) -> list[str]:
    cells = [MOMENTS[when]]
    if results.labelled:
        cells += [_accuracy([run.knn for run in runs], runs[0].representation, head, when)]
        cells += [_accuracy([run.linear for run in runs], runs[0].representation, head, when)]
    key = "r2" if when == "final" else "initial"
    for factor in factors:
        before, after = (_decoded(runs, layer, factor, key) for layer in (runs[0].representation, head))
        cells.append(f"{before} {ARROW} {after}")
    return cells


def _accuracy(entries: Sequence[Any], representation: str, head: str, when: str) -> str:
    before, after = (100 * mean(entry["layers"][layer][when] for entry in entries) for layer in (representation, head))
    return f"{before:.1f} {ARROW} {after:.1f} % ({signed(after - before)})"


def _decoded(runs: Sequence[Run], layer: str, factor: str, key: str) -> str:
    found = [run.diagnosis["factors"].get(layer, {}).get(factor) for run in runs]
    return _r2(mean(entry[key] for entry in found)) if all(found) else NONE


def _r2(value: float | None) -> str:
    return NONE if value is None else f"{max(0.0, value):.2f}"
