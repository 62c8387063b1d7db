"""The figure that a collapse run of MLflow carries: its own spectra, drawn as the report draws them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import safe_open


def spectra(path: Path, regime: str, seed: str, config: dict[str, Any], verdict: list[str]) -> str | None:
    """One cell's log spectra per layer, random initialisation drawn in, as SVG text; None where none were measured.

    `path` is the study's spectra.safetensors. Imports matplotlib, so only where a run is being made.
    """
    prefix = f"{regime}/{seed}/"
    if not path.is_file():
        return None
    with safe_open(path, framework="numpy") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118  # no mapping
        arrays = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    if not arrays:
        return None
    from collapselab.report import charts, figures
    from collapselab.report.inputs import Results, Run

    diagnosis = {"verdict": verdict}
    run = Run(regime, int(seed), config, {}, {}, {}, {}, arrays, {}, {}, diagnosis)
    results = Results("", {}, {}, {f"{regime}, seed {seed}": [run]}, {}, {}, [], {}, [], "")
    return figures.draw(charts.spectra(results)).decode()
