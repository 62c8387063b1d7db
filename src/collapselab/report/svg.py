"""Figures as SVG, the same bytes every time, and what all of them look like.

Text is drawn as paths: a reader's machine need not have the font, and a label never grows into its neighbour.
"""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.figure import Figure

# Okabe and Ito's palette, which colour-blind readers can tell apart, less black and yellow, which need one background.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (2, 1)), (0, (8, 2)), (0, (1, 0.7)))
# The ink and the paper stand for themselves until `inline` makes them follow the page's own, light or dark.
INK, PAPER = "#1b1f23", "#fffffe"

STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "collapselab",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def as_svg(figure: Figure) -> bytes:
    """The figure, the same bytes every time."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _smaller(content.getvalue().decode()).encode()


def _smaller(svg: str) -> str:
    """The same picture in half the bytes: no comments, no indentation, no names of groups, hundredths of a point."""
    svg = re.sub(r"<!--.*?-->|\n\s*(?=<)", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return re.sub(r' (?:d|x|y)="[^"]*"|translate\([^)]*\)', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)


def inline(svg: bytes, name: str) -> str:
    """The SVG as a part of a page: no prologue, ids of its own, ink and paper the page's."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-labelledby="{name}-title">',
        text,
        count=1,
    )
    text = text.replace("xlink:href", "href")
    return text.replace(INK, "currentColor").replace(PAPER, "none")
