"""Figures: what their SVG shows, read from the drawn paths."""

from __future__ import annotations

import re

import numpy as np
import pytest

from collapselab.report.chart import Chart, Line, Panel
from collapselab.report.figures import draw
from collapselab.report.svg import COLOURS, INK, inline


def _line(values: list[list[float]], colour: int = 0) -> Line:
    return Line("layer", np.arange(len(values[0]), dtype=np.float64), np.array(values), colour, colour)


def _chart(*panels: Panel, **options: object) -> Chart:
    return Chart("test", "step", "value", list(panels), **options)  # type: ignore[arg-type]


def _curves(svg: bytes, colour: str) -> list[list[tuple[float, float]]]:
    """Points of every line of a colour, in SVG coordinates (y points down)."""
    paths = re.findall(
        rf'<path d="([^"]+)"[^>]*style="[^"]*stroke: {colour.lower()}[^"]*stroke-width: 1.2', svg.decode()
    )
    return [[(float(x), float(y)) for x, y in re.findall(r"[ML] ([-\d.]+) ([-\d.]+)", path)] for path in paths]


def test_panels_of_a_group_share_their_axes() -> None:
    low, high = Panel("low", "healthy", [_line([[0.0, 1.0]])], []), Panel("high", "healthy", [_line([[0.0, 10.0]])], [])
    first, second = _curves(draw(_chart(low, high)), COLOURS[0])[:2]
    rise_low, rise_high = (curve[0][1] - curve[1][1] for curve in (first, second))
    assert rise_high == pytest.approx(10 * rise_low, rel=0.01)


def test_panels_of_other_groups_do_not() -> None:
    low = Panel("low", "healthy", [_line([[0.0, 1.0]])], [], group="a")
    high = Panel("high", "healthy", [_line([[0.0, 10.0]])], [], group="b")
    first, second = _curves(draw(_chart(low, high)), COLOURS[0])[:2]
    assert first[0][1] - first[1][1] == pytest.approx(second[0][1] - second[1][1], rel=0.01)


def test_zero_on_a_log_axis_is_drawn_at_the_floor() -> None:
    panel = Panel("p", "complete", [_line([[1.0, 0.0]])], [])
    curve = _curves(draw(_chart(panel, scale="log", floor=1e-3)), COLOURS[0])[0]
    assert len(curve) == 2 and curve[1][1] > curve[0][1]


def test_a_chart_without_a_defined_value_still_draws() -> None:
    assert b"<svg" in draw(_chart(Panel("p", "healthy", [_line([[float("nan")] * 3])], [])))


def test_names_with_dollars_are_text_not_formulas() -> None:
    draw(_chart(Panel(r"a$\undefined$b", "healthy", [_line([[0.0, 1.0]])], [])))


def test_the_inline_form_takes_the_pages_ink_and_ids_of_its_own() -> None:
    text = inline(draw(_chart(Panel("p", "healthy", [_line([[0.0, 1.0]])], []))), "loss")
    assert text.startswith("<svg viewBox=") and "<?xml" not in text and "DOCTYPE" not in text
    assert INK not in text and "currentColor" in text
    assert all(name.startswith("loss-") for name in re.findall(r'\bid="([^"]+)"', text))
