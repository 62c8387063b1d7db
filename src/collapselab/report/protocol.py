"""How a report's numbers were made, so that another can make them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collapselab.config.study import load_evaluation
from collapselab.evaluation.answers import UNLABELLED
from collapselab.report.inputs import Results

NO_LABELS = f"{UNLABELLED[:1].upper()}{UNLABELLED[1:]}."


def _used(results: Results, place: str) -> str:
    """The k that was really used: asked for, or less where a class of the bank has fewer images."""
    asked = int(results.knn["k"])
    used = sorted({int(run.knn["k"][place]) for run in results.runs})
    cut = f" ({asked} asked for, cut below the size of the bank's smallest class)" if min(used) < asked else ""
    return " or ".join(str(k) for k in used) + cut


def training(configs: Sequence[Mapping[str, Any]]) -> str:
    """Where and in what the runs with these config.json were trained, and whether another gets the same bytes."""
    places = dict.fromkeys(
        f"{one['device']} with {one['threads']} thread{'s' if one['threads'] != 1 else ''}"
        + (f", networks in {one['autocast']}" if one.get("autocast") else "")
        + (", steps compiled" if one.get("compile") else "")
        for one in sorted(configs, key=lambda one: (one["device"], one["threads"]))
    )
    kept = "Bytes are the same for the same kind of processor, threads and library versions"
    if any(one["device"] != "cpu" for one in configs):
        kept = "Bytes are promised on CPUs alone"
    return f"Training on {' and '.join(places)}. {kept}."


def budget(configs: Sequence[Mapping[str, Any]]) -> str:
    """How much the runs with these config.json were trained in all; times are no output that could be the same twice."""
    images = sum(int(one["steps"]) * int(one["config"]["batch_size"]) for one in configs)
    runs = "one training" if len(configs) == 1 else f"{len(configs)} trainings"
    return (
        f"Budget: {runs} of {step_range(configs)} steps, {images / 1e6:.2g} million images in all, each with its views."
    )


def step_range(configs: Sequence[Mapping[str, Any]]) -> str:
    """ "124 to 2,500"."""
    counts = sorted({int(one["steps"]) for one in configs})
    return f"{counts[0]:,} to {counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}"


def protocol(results: Results) -> list[str]:
    """One sentence for each rule."""
    configs = [run.config for run in results.runs]
    several = " The table and the lines give means over them; the thin lines are single seeds."
    return [
        "Features are taken in eval mode from clean images, after training and, paired by seed, at random "
        "initialisation, for which the running statistics of batch norm are first estimated over the training images.",
        *(_scores(results) if results.labelled else [NO_LABELS]),
        training(configs),
        budget(configs),
        f"Seeds: {_seeds_of(results)}." + (several if len({run.seed for run in results.runs}) > 1 else ""),
        f"Images: {results.manifest['origin']}",
    ]


def _scores(results: Results) -> list[str]:
    probe = load_evaluation(results.params).linear_probe
    snapshots = results.runs[0].config["snapshots"]
    chosen = "a fifth of the training images, with all draws of an original on one side, chooses one"
    if probe.solver == "sgd":
        rates = ", ".join(f"{value:g}" for value in probe.sgd.base_learning_rate)
        fitted = (
            f"SGD on standardised features, {probe.sgd.epochs} epochs, batch {probe.sgd.batch_size}, momentum "
            f"{probe.sgd.momentum:g}, weight decay {probe.sgd.weight_decay:g}, rate falling along half a cosine; of base rates "
            f"{rates} (times batch / 256)"
        )
    else:
        candidates = ", ".join(f"{value:g}" for value in probe.inverse_regularisation)
        fitted = f"logistic regression on standardised features; of C = {candidates}"
    return [
        f"k-NN: cosine similarity, k = {_used(results, 'table')}, temperature {results.knn['temperature']:g}, "
        "training images as the bank; of equally near images the first, of equal votes the lower class.",
        f"Linear probe: {fitted}, {chosen}.",
        "Test images are read once, for the table: no step and no setting is chosen by looking at them.",
        "Curves over training are measured on validation images, which no regime trains on: "
        f"{snapshots['bank']} of them as the bank, "
        f"{snapshots['queries']} asked about, k = {_used(results, 'curve')}. Where images are draws of the same originals, "
        "no original is in both.",
    ]


def _seeds_of(results: Results) -> str:
    common = sorted({run.seed for run in results.runs})
    own = [
        f"{name}: {_seeds([run.seed for run in runs])}"
        for name, runs in results.regimes.items()
        if len(runs) != len(common)
    ]
    return ", ".join(map(str, common)) + (f" ({'; '.join(own)})" if own else "")


def _seeds(seeds: Sequence[int]) -> str:
    return f"Seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
