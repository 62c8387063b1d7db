"""The page of the linear theory, reports/toys: figures, words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from collapselab.files import write_json, write_text
from collapselab.report.build import escape_markdown, write_figures
from collapselab.report.figures import inline
from collapselab.toys.experiments import AMPLITUDES, BLOCK, DIM, IMAGES, RATE, SEED, SMALL, TIMES, Toys, Trace, simulate
from collapselab.toys.figures import draw
from collapselab.toys.provenance import sources
from collapselab.toys.words import PROTOCOL, findings, sections

HERE = Path(__file__).parent
STYLE = HERE.parent / "diagnose" / "style.css"
SCHEMA = 1


def build(root: Path) -> Path:
    """Simulate, and write reports/toys/; returns the folder."""
    toys, out = simulate(), root / "reports" / "toys"
    pictures = draw(toys)
    write_figures(out / "figures", {f"{name}.svg": svg for name, svg in pictures.items()})
    page = {"sections": sections(toys), "findings": findings(toys), "protocol": PROTOCOL}
    write_text(out / "report.md", _render("page.md.j2", page))
    inlined = {name: Markup(inline(svg, name)) for name, svg in pictures.items()}  # text is drawn as paths
    write_text(out / "report.html", _render("page.html.j2", page | {"pictures": inlined, "style": STYLE.read_text()}))
    write_json(out / "toys.json", numbers(toys))
    write_json(out / "provenance.json", {"schema": SCHEMA, "sources": sources(root)})
    return out


def _render(template: str, page: Mapping[str, Any]) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=select_autoescape(("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    return environment.get_template(template).render(page)


def numbers(toys: Toys) -> dict[str, Any]:
    """The results for programs, six significant digits."""
    return {
        "schema": SCHEMA,
        "settings": {"dim": DIM, "block": BLOCK, "images": IMAGES, "rate": RATE, "seed": SEED, "initial_std": SMALL},
        "strong_augmentation": [
            {
                "both_views": strong is toys.both,
                "k": k,
                "time": time,
                "singular_values": _digits(strong.spectra[k, time]),
                "smaller_half": _digits(strong.least[k, time]),
            }
            for strong in (toys.strong, toys.both)
            for k in AMPLITUDES
            for time in TIMES
        ],
        "implicit_regularisation": [_trace(trace) for trace in (toys.weak, toys.stronger)],
        "depth": [
            {"layers": layers, "relu": relu, "eigenvalues": [_digits(seed) for seed in values]}
            for (layers, relu), values in toys.depth.items()
        ],
    }


def _trace(trace: Trace) -> dict[str, Any]:
    return {
        "noise": trace.noise,
        "time": float(trace.times[-1]),
        "loss": _digits(trace.losses[-1]),
        "w1": _digits(trace.first[-1]),
        "w2": _digits(trace.second[-1]),
        "embedding_covariance": _digits(trace.embedding[-1]),
        "alignment_diagonal": {f"{time:g}": _digits(values) for time, values in trace.diagonals.items()},
        "imbalance_drift": _digits(trace.drift),
    }


def _digits(values: Any) -> Any:
    rounded = [float(f"{value:.6g}") for value in np.atleast_1d(values)]
    return rounded if np.ndim(values) else rounded[0]
