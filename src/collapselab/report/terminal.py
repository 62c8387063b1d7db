"""The table of regimes that `make repro` ends with."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from collapselab.files import read_json


def print_summary(folder: Path, comparison: str | None) -> None:
    """Print the regimes of reports/<study> with their verdicts, where the report is, and how to open MLflow."""
    metrics = read_json(folder / "metrics.json")
    console = Console() if sys.stdout.isatty() else Console(width=110)  # whole words in a log
    console.print(_table(metrics))
    print(f"report   {folder / 'report.html'}  (or {folder / 'report.md'})")
    print("MLflow   make ui")
    if comparison:
        print(f"         then compare this study's runs at {comparison}")


def _table(metrics: dict[str, Any]) -> Table:
    table = Table(title=f"study {metrics['study']}", title_justify="left")
    for heading in ("regime", "verdict", "k-NN", "at init", "linear", "loss"):
        table.add_column(heading, justify="left" if heading in ("regime", "verdict") else "right", overflow="fold")
    for regime, runs in metrics["regimes"].items():
        verdict = _verdict([run["verdict"] for run in runs])
        table.add_row(regime, verdict, *(_mean(runs, key) for key in ("knn", "knn_init", "linear", "loss")))
    _baselines(table, metrics)
    return table


def _baselines(table: Table, metrics: dict[str, Any]) -> None:
    """The two ends that every table is read between: nothing learnt, and no network at all."""
    runs = [run for found in metrics["regimes"].values() for run in found]
    table.add_section()
    start = (_mean(runs, "knn_init"), "", _mean(runs, "linear_init"), "")
    table.add_row("random initialisation", "", *start, style="dim")
    pixels = metrics["pixels"]
    knn, linear = (_mean([pixels], key) for key in ("knn", "linear"))
    table.add_row("raw pixels", "", knn, "", linear, "", style="dim")


def _verdict(verdicts: list[list[str]]) -> str:
    """One text where the seeds agree, each seed's own where they don't."""
    texts = [", ".join(kinds) or "healthy" for kinds in verdicts]
    text = texts[0] if len(set(texts)) == 1 else " | ".join(texts)
    return f"[green]{text}[/green]" if set(texts) == {"healthy"} else f"[red]{text}[/red]"


def _mean(runs: list[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs if run[key] is not None]
    return f"{fmean(values):.3f}" if values else "-"
