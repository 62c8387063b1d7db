"""The report of a study: reads what the other stages wrote, writes reports/<study>/."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from collapselab.files import write_bytes, write_json, write_text
from collapselab.report import content, figures, svg
from collapselab.report.accuracy import accuracy_section
from collapselab.report.captions import CAPTIONS, caption
from collapselab.report.chart import Chart
from collapselab.report.charts import charts, spectra_over_steps, verdict_of
from collapselab.report.check import provenance
from collapselab.report.inputs import Results, Run, gather
from collapselab.report.interventions import (
    Intervention,
    comes_first,
    explained,
    intervention_table,
    interventions,
    read_explanations,
    references,
)
from collapselab.report.outputs import write_numbers
from collapselab.report.projector import projector_section
from collapselab.report.protocol import protocol
from collapselab.report.puzzle.figures import one_vector, takings
from collapselab.report.puzzle.onevector import one_vector_spectra
from collapselab.report.puzzle.section import Section, entries, section
from collapselab.report.puzzle.taken import Index, take
from collapselab.report.sweep import sweep_charts
from collapselab.report.tables import (
    KEY_METRICS,
    Table,
    alarm_tables,
    data_table,
    factor_table,
    mean,
    metric_tables,
)
from collapselab.report.verdicts import verdict_table

FIRST_PAGE = ("spectra", "spectra-over-steps", "severities", "entropies", "token-shares")  # figures beside the verdicts
TAKINGS = ("takings", "one-vector")  # what figures of the section on how outputs are taken begin with


@dataclass(frozen=True)
class Figure:
    """A figure of the page, with the numbers behind it."""

    name: str
    title: str
    caption: str
    svg: bytes
    table: Table | None

    @property
    def inline(self) -> Markup:
        return Markup(svg.inline(self.svg, self.name))  # text is drawn as paths: nothing in it can be markup


def build(params: dict[str, Any], root: Path = Path()) -> Path:
    """Write the report of the study that `params` (params.yaml as plain values) describes; returns its folder.

    Raises UserError where an input is missing or unreadable.
    """
    results = gather(params, root)
    out = root / "reports" / results.study
    pictures = _pictures(results, root)
    taken, vectors = take(params, root), one_vector_spectra(params, root)
    index = Index(taken)
    told = section(results, index, vectors)
    drawn = make_figures(results, [*takings(index), *one_vector(vectors)])
    write_figures(out / "figures", {f"{figure.name}.svg": figure.svg for figure in drawn} | pictures)
    embedded = {file: base64.b64encode(png).decode() for file, png in pictures.items()}
    switched = interventions(results, read_explanations(root))
    page = make_page(results, drawn, switched, told)
    write_text(out / "report.html", render("template.html.j2", page | {"embedded": embedded}))
    write_text(out / "report.md", render("template.md.j2", page))
    write_numbers(results, out)
    write_json(out / "puzzle.json", entries(taken))
    write_json(out / "interventions.json", [one.as_dict() for one in switched])
    write_json(out / "provenance.json", provenance(params, root))
    return out


def make_figures(results: Results, more: Sequence[Chart] = ()) -> list[Figure]:
    drawn = []
    if results.labelled:
        rows = [(name, ", ".join(verdict_of(runs)), *_before_and_after(runs)) for name, runs in results.regimes.items()]
        drawn.append(Figure("overview", *CAPTIONS["overview"], figures.overview(rows, results.pixels["knn"]), None))
    for chart in (*more, *sweep_charts(results), *charts(results)):
        drawn.append(Figure(chart.name, *caption(chart.name), figures.draw(chart), data_table(chart)))
        if chart.name == "spectra":
            maps = figures.heat_maps(spectra_over_steps(results))
            drawn.append(Figure("spectra-over-steps", *CAPTIONS["spectra-over-steps"], maps, None))
    return drawn


def _before_and_after(runs: list[Run]) -> tuple[float, list[float]]:
    """Mean k-NN at initialisation, and k-NN at the end by seed."""
    return mean(run.score("knn", "initial") for run in runs), [run.score("knn", "final") for run in runs]


def make_page(
    results: Results, drawn: list[Figure], switched: list[Intervention], told: Section | None = None
) -> dict[str, Any]:
    """What both templates read."""
    return {
        "study": results.study,
        "summary": content.summary(results),
        "findings": content.findings(results),
        "rows": verdict_table(results),
        "interventions": intervention_table(switched),
        "interventions_first": comes_first(results, switched),
        "references": references(results),
        "explanations": explained(switched),
        "overview": next((figure for figure in drawn if figure.name == "overview"), None),
        "figures": [figure for figure in drawn if figure.name != "overview"],
        "accuracy": accuracy_section(results),
        "projector": projector_section(results),
        "evidence": content.evidence(results),
        "grids": content.grids(results),
        "key_metrics": metric_tables(results, KEY_METRICS),
        "all_metrics": metric_tables(results),
        "factors": factor_table(results),
        "takings": told,
        "takings_figures": [figure for figure in drawn if figure.name.startswith(TAKINGS)],
        "sweep": [figure for figure in drawn if figure.name.startswith("sweep-")],
        "alarms": alarm_tables(results),
        "first_page": FIRST_PAGE,
        "kinds": content.kinds(),
        "at_the_loss": content.at_the_loss(),
        "protocol": protocol(results),
        "limits": content.limits(results),
        "fingerprint": results.fingerprint,
    }


def render(template: str, page: Mapping[str, Any]) -> str:
    """HTML is escaped by Jinja; Markdown escapes with its filter `md`."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    return environment.get_template(template).render(page)


def escape_markdown(text: str) -> str:
    """Text as it is, wherever it stands in a Markdown page or table."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(str(text).split()))


def _pictures(results: Results, root: Path) -> dict[str, bytes]:
    """The previews, under the names that they have in the report."""
    folder = root / "runs" / results.study / "preview"
    return {f"{grid['name']}.png": (folder / grid["file"]).read_bytes() for grid in content.grids(results)}


def write_figures(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write all; then drop what an earlier report left and this one has no more."""
    for file, picture in contents.items():
        write_bytes(folder / file, picture)
    for path in folder.iterdir():
        if path.name not in contents:
            path.unlink()
