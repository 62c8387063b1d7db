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
from collapselab.report.svg import inline
from collapselab.toys.experiments import (
    AMPLITUDES,
    BLOCK,
    DIM,
    IMAGES,
    RATE,
    RATES_AT,
    SEED,
    SMALL,
    TIMES,
    Toys,
    Trace,
    simulate,
)
from collapselab.toys.figures import draw
from collapselab.toys.findings import PROTOCOL, findings
from collapselab.toys.flow import shared
from collapselab.toys.provenance import sources
from collapselab.toys.words import MOMENTS, sections

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
        "x_at_the_end": [
            {
                "both_views": strong is toys.both,
                "k": k,
                "time": TIMES[-1],
                "eigenvalues_over_mean_1_minus_alpha": _digits(values),
                "negative": int((values < 0).sum()),
            }
            for strong in (toys.strong, toys.both)
            for k, values in strong.drive.items()
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
        **_moment(trace, -1),
        "course": [{"time": time} | _moment(trace, trace.row(time)) for time in MOMENTS if time <= trace.times[-1]],
        "w1_growth": {
            "time": RATES_AT,
            "theorem_3": _digits(trace.rates[0]),
            "trained": _digits(trace.rates[1]),
        },
        "alignment_diagonal": {f"{time:g}": _digits(values) for time, values in trace.diagonals.items()},
        "alignment_shared_by_kept": {
            f"{time:g}": _digits(shared(matrix, trace.kept[trace.row(time)])) for time, matrix in trace.aligned.items()
        },
        "imbalance_norm": _digits(trace.imbalance),
        "imbalance_drift": _digits(trace.drift),
    }


def _moment(trace: Trace, row: int) -> dict[str, Any]:
    return {
        "loss": _digits(trace.losses[row]),
        "kept": trace.kept[row],
        "w1": _digits(trace.first[row]),
        "w2": _digits(trace.second[row]),
        "w2_w1": _digits(trace.whole[row]),
        "embedding_covariance": _digits(trace.embedding[row]),
    }


def _digits(values: Any) -> Any:
    rounded = [float(f"{value:.6g}") for value in np.atleast_1d(values)]
    return rounded if np.ndim(values) else rounded[0]
