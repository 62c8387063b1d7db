"""Which curves the report shows: from results to charts, of which figures and data tables are two renderings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from collapselab.collapse.kind import KINDS
from collapselab.report.chart import Chart, HeatMap, Line, Panel, thinned
from collapselab.report.inputs import NOT_TERMS, SHUFFLED, TOKENS, Floats, Results, Run, Series

NOTICED = 0.1  # severity from which a kind is drawn
CEILING = "highest attainable, min(N - 1, d)"
SMALLEST = 1e-20  # eigenvalues below it are written as it: a logarithm has to end somewhere
SMALLEST_GRADIENT = 1e-8  # norms below it are drawn at it: next to others they move no weight
DEEPEST = -16.0  # log10 of eigenvalues below it are drawn at it: no more than rounding noise lies there


def charts(results: Results) -> list[Chart]:
    """The figures in reading order; one without a curve is left out."""
    makers = (
        spectra,
        severities,
        entropies,
        token_shares,
        loss,
        knn,
        std,
        effective_rank,
        entropy_rank,
        variance_ratio,
        gradients,
        token_spectra,
    )
    made = [maker(results) for maker in makers]
    return [chart for chart in made if chart.panels]


def severities(results: Results) -> Chart:
    """Kinds that reached a tenth anywhere, at the layer where each was worst at the end."""
    panels = []
    for regime, runs in results.regimes.items():
        lines = []
        for place, kind in enumerate(KINDS):
            worst = _worst_layer(runs, kind)
            if worst:
                found = [run.severities[worst][kind] for run in runs if kind in run.severities.get(worst, {})]
                if max(float(np.nanmax(series.values, initial=0)) for series in found) >= NOTICED:
                    lines.append(_line(kind, found, place))
        if lines:
            panels.append(_panel(regime, runs, lines, []))
    return Chart("severities", "step", "severity", panels, steps=True)


def _worst_layer(runs: Sequence[Run], kind: str) -> str:
    """The layer at which a kind held worst at the end, of those that the headline is taken from."""
    ends = {
        layer: max(
            float(np.nan_to_num(run.severities[layer][kind].values[-1]))
            for run in runs
            if kind in run.severities.get(layer, {})
        )
        for layer in runs[0].layers
        if kind in runs[0].severities.get(layer, {})
    }
    return max(ends, key=lambda layer: ends[layer]) if ends else ""


def token_shares(results: Results) -> Chart:
    """Where the variance of the tokens comes from, at each layer of tokens."""
    shares = (
        ("token_image_share", "image"),
        ("token_position_share", "position"),
        ("token_interaction_share", "both together"),
    )
    panels = []
    for regime, runs in results.regimes.items():
        for layer in runs[0].layers:
            lines = [
                line
                for place, (metric, label) in enumerate(shares)
                for line in _metric_line(runs, layer, metric, label, place, place)
            ]
            if lines:
                panels.append(_panel(f"{regime}: {layer}", runs, lines, []))
    return Chart("token-shares", "step", "share of variance", panels)


def loss(results: Results) -> Chart:
    panels = []
    for regime, runs in results.regimes.items():
        names = ["loss", *(term for term in runs[0].history if term not in NOT_TERMS)]
        curves = {name: [_thin(Series(run.history["step"], run.history[name])) for run in runs] for name in names}
        lines = [_line(name, curves[name], place) for place, name in enumerate(names)]
        panels.append(_panel(regime, runs, lines, [], group=str(runs[0].config["config"]["method"])))
    return Chart("loss", "step", "loss", panels)


def knn(results: Results) -> Chart:
    panels = []
    for regime, runs in results.regimes.items() if results.labelled else ():
        curves = [Series(*np.array([[point["step"], point["knn"]] for point in run.knn["curve"]]).T) for run in runs]
        line = _line(runs[0].representation, curves, 0)
        panels.append(_panel(regime, runs, [line], [_level(line, line.values[:, :1])]))
    return Chart("knn", "step", "k-NN accuracy", panels, "random initialisation")


def std(results: Results) -> Chart:
    panels = _layer_panels(results, "normalised_std", "inverse_sqrt_dim")
    return Chart("std", "step", "std of z/||z||", panels, "1/sqrt(d)", scale="log", floor=1e-6)


def effective_rank(results: Results) -> Chart:
    panels = _layer_panels(results, "effective_rank", "rank_ceiling")
    return Chart("effective-rank", "step", "effective rank", panels, CEILING, scale="log")


def entropy_rank(results: Results) -> Chart:
    panels = _layer_panels(results, "spectral_entropy_rank", "rank_ceiling")
    return Chart("spectral-entropy-rank", "step", "spectral-entropy rank", panels, CEILING, scale="log")


def entropies(results: Results) -> Chart:
    panels = []
    for regime, runs in results.regimes.items():
        lines, references = [], []
        for layer in runs[0].config["loss_layers"]:
            colour = runs[0].layers.index(layer)
            for dash, (metric, meaning) in enumerate(
                (("mean_entropy", "each output"), ("marginal_entropy", "mean output"))
            ):
                lines += _metric_line(runs, layer, metric, f"{layer}: {meaning}", colour, dash)
            references += _metric_line(runs, layer, "log_k", layer, colour, 0)
        if lines:
            panels.append(_panel(regime, runs, lines, references))
    return Chart("entropies", "step", "entropy (nats)", panels, "log K")


def variance_ratio(results: Results) -> Chart:
    return Chart(
        "variance-ratio", "step", "variance ratio", _layer_panels(results, "variance_ratio"), scale="log", floor=1e-2
    )


def gradients(results: Results) -> Chart:
    """Each part of the network as a whole, the weight layers in it thin."""
    parts = list(dict.fromkeys(_part(layer) for run in results.runs for layer in run.gradients))
    panels = []
    for regime, runs in results.regimes.items():
        found: dict[str, list[Line]] = {}
        for layer in runs[0].gradients:
            line = _line(layer, [run.gradients[layer] for run in runs], parts.index(_part(layer)))
            found.setdefault(_part(layer), []).append(line)
        wholes = [_together(part, layers) for part, layers in found.items()]
        if wholes:
            panels.append(
                _panel(regime, runs, wholes, [], baselines=[line for lines in found.values() for line in lines])
            )
    return Chart(
        "gradients", "step", "gradient norm", panels, baseline="single layers", scale="log", floor=SMALLEST_GRADIENT
    )


def _part(layer: str) -> str:
    """The part of a method that a weight layer belongs to: backbone, projector, student ..."""
    return layer.partition(".")[0]


def _together(label: str, layers: Sequence[Line]) -> Line:
    """Norm of the gradients of several layers: the root of the sum of their squares."""
    norms = np.sqrt(sum(line.values**2 for line in layers))
    return Line(label, layers[0].x, norms, layers[0].colour, layers[0].dash)


def token_spectra(results: Results) -> Chart:
    panels = []
    for regime, runs in results.regimes.items():
        for layer in runs[0].config["loss_layers"]:
            key = layer + TOKENS
            if key in runs[0].spectra:
                lines = [_spectrum(runs, key, -1, 0, layer)], [_spectrum(runs, key, 0, 0, layer)]
                panels.append(_panel(f"{regime}: {layer}", runs, *lines))
    return Chart("token-spectra", "index", "log10 eigenvalue", panels, "step 0", steps=False, floor=DEEPEST)


def spectra(results: Results) -> Chart:
    panels = []
    for regime, runs in results.regimes.items():
        layers = [(place, layer) for place, layer in enumerate(runs[0].layers) if layer in runs[0].spectra]
        last, first = ([_spectrum(runs, layer, at, place, layer) for place, layer in layers] for at in (-1, 0))
        shuffled = [
            _spectrum(runs, layer + SHUFFLED, -1, place, layer)
            for place, layer in layers
            if layer + SHUFFLED in runs[0].spectra
        ]
        panels.append(_panel(regime, runs, last, first, baselines=shuffled))
    return Chart(
        "spectra",
        "index",
        "log10 eigenvalue",
        panels,
        "random initialisation",
        "dimensions shuffled",
        steps=False,
        floor=DEEPEST,
    )


def spectra_over_steps(results: Results) -> list[HeatMap]:
    """Maps of each regime's representation and of the first layer that its loss acts on, of its first seed."""
    maps = []
    for regime, runs in results.regimes.items():
        for layer in runs[0].layers[:2]:
            if layer in runs[0].spectra:
                values = np.log10(np.maximum(runs[0].spectra[layer], 10.0**DEEPEST)).T
                steps = [int(step) for step in next(iter(runs[0].metrics[layer].values())).steps]
                collapsed = bool(verdict_of(runs))
                maps.append(HeatMap(regime, layer, collapsed, steps, values))
    return maps


def mean_spectrum(runs: Sequence[Run], layer: str, at: int) -> tuple[Floats, Floats]:
    """Index from 1, and log10 eigenvalues [seeds, d] of a layer at a snapshot (0 the first, -1 the last)."""
    values = np.log10(np.maximum([run.spectra[layer][at] for run in runs], SMALLEST))
    return np.arange(1, values.shape[1] + 1, dtype=np.float64), values


def _thin(series: Series) -> Series:
    places = thinned(series.steps)
    return Series(series.steps[places], series.values[places])


def _layer_panels(results: Results, metric: str, reference: str = "") -> list[Panel]:
    """A panel a regime, a line for its representation and each layer of its loss."""
    panels = []
    for regime, runs in results.regimes.items():
        lines, references = [], []
        for place, layer in enumerate(runs[0].layers):
            lines += _metric_line(runs, layer, metric, layer, place, place)
            references += _metric_line(runs, layer, reference, layer, place, place)
        if lines:
            panels.append(_panel(regime, runs, lines, references))
    return panels


def _metric_line(runs: Sequence[Run], layer: str, metric: str, label: str, colour: int, dash: int) -> list[Line]:
    """The line, or none where the layer has no such metric."""
    found = [series for run in runs if (series := run.metric(layer, metric))]
    return [_line(label, found, colour, dash)] if found else []


def _line(label: str, found: Sequence[Series], colour: int, dash: int | None = None) -> Line:
    """Series of the seeds as one line, over the steps that all of them have."""
    steps = sorted(set.intersection(*(set(series.steps.tolist()) for series in found)))
    values = np.stack([series.values[np.isin(series.steps, steps)] for series in found])
    return Line(label, np.array(steps), values, colour, colour if dash is None else dash)


def _spectrum(runs: Sequence[Run], layer: str, at: int, place: int, label: str) -> Line:
    return Line(label, *mean_spectrum(runs, layer, at), place, place)


def _level(line: Line, values: Floats) -> Line:
    return Line(line.label, line.x, np.broadcast_to(values, line.values.shape), line.colour, line.dash)


def _panel(
    title: str,
    runs: Sequence[Run],
    lines: list[Line],
    references: list[Line],
    group: str = "",
    baselines: Sequence[Line] = (),
) -> Panel:
    return Panel(title, ", ".join(verdict_of(runs)) or "healthy", lines, references, group, list(baselines))


def verdict_of(runs: Iterable[Run]) -> list[str]:
    """The kinds that any seed's headline verdict names, in order of first appearance."""
    return list(dict.fromkeys(kind for run in runs for kind in run.diagnosis["verdict"]))
