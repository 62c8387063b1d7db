"""An outcome on a terminal: the verdict, then why, then what to read it against. Colours where the terminal has them."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from collapselab.diagnose.compare import Comparison, sentences
from collapselab.diagnose.content import (
    described,
    headline,
    kind_rows,
    metric_rows,
    number,
    rank_header,
    rank_rows,
    spoken,
    supplies,
)
from collapselab.diagnose.examine import Outcome


def show(outcome: Outcome, console: Console | None = None) -> None:
    """Print it; 80 columns where the output is no terminal. NO_COLOR and pipes give plain text."""
    console = console or Console(highlight=False)
    console.print(Text(headline(outcome), style="bold red" if outcome.verdict else "bold green"))
    console.print(Text(described(outcome), style="dim"))
    console.print()
    console.print(_kinds(outcome))
    if outcome.comparison:
        _section(console, "Against the reference")
        _comparison(console, outcome.comparison)
    of = f" ({outcome.headline})" if len(outcome.layers) > 1 else ""
    _section(console, f"What the ranks are to be read against{of}")
    console.print(_ranks(outcome))
    _section(console, f"Other measures{of}")
    console.print(_metrics(outcome))
    if outcome.undetermined:
        _section(console, "Not judged, and what to supply")
        console.print(_pairs(supplies(outcome)))
    if outcome.warnings:
        _section(console, "Warnings")
        for warning in outcome.warnings:
            console.print(Padding(Text(warning, style="yellow"), (0, 0, 0, 2)))
    console.print()
    console.print(
        Text(f"More: collapselab explain {(outcome.verdict or list(outcome.shown) or ['complete'])[0]}", style="dim")
    )


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(headings))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table


def _kinds(outcome: Outcome) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    several = len(outcome.layers) > 1
    table.add_column("kind", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    table.add_column("evidence, and what to try")
    for row in kind_rows(outcome):
        style = "red" if row.holds else "green" if row.severity == "0.00" else "yellow"
        kind = Text(row.kind, style=f"bold {style}" if row.holds else "")
        severity = Text(row.severity, style=style)
        if row.interval:
            severity.append(f"\n{row.interval}", style="dim")
        evidence = Text(f"{row.layer}: {row.evidence}" if several else row.evidence)
        if row.cause:
            evidence.append(f"\nlikely cause: {row.cause}")
        if row.remedy:
            evidence.append(f"\ntry: {row.remedy}", style="italic")
        table.add_row(kind, severity, evidence)
    return table


def _ranks(outcome: Outcome) -> Padding:
    table = _table(*rank_header(outcome))
    for row in rank_rows(outcome, outcome.headline):
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2))


def _metrics(outcome: Outcome) -> Padding:
    table = _table("measure", "here", "beside")
    table.columns[2].justify = "left"
    for row in metric_rows(outcome, outcome.headline):
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2))


def _pairs(rows: list[tuple[str, str]]) -> Padding:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(max_width=20)
    table.add_column()
    for name, text in rows:
        table.add_row(name, Text(text))
    return Padding(table, (0, 0, 0, 2))


def _comparison(console: Console, comparison: Comparison) -> None:
    for sentence in sentences(comparison):
        console.print(Padding(Text(sentence), (0, 0, 0, 2)))
    several = len(comparison.layers) > 1
    table = _table("what moved most", "here", "reference", "ratio")
    for layer, change in comparison.layers.items():
        for moved in change.moved[: 4 if several else 8]:
            name = f"{layer}: {spoken(moved.metric)}" if several else spoken(moved.metric)
            table.add_row(name, number(moved.value), number(moved.reference), number(moved.value / moved.reference))
    if table.row_count:
        console.print(Padding(table, (0, 0, 0, 2)))
