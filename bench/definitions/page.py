"""docs/definitions.md, from the results of bench/definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from bench.definitions import losses
from bench.definitions.comparisons import COMPARISONS, TOLERANCE, Comparison, Result, ours
from bench.definitions.features import SEED, features
from bench.definitions.libraries import (
    CKATORCH,
    DIMENSIONALITY,
    LIGHTLY,
    NDTRACKER,
    REPTRIX,
    SCIPY,
    SKDIM,
    SKLEARN,
    SSRLIB,
    STABLE,
    Library,
    missing,
)

INTRODUCTION = f"""\
# Definitions

Other libraries have metrics of the same names, and for the same features other values. This page sets the rank, spectral and
geometry metrics that collapselab shares with them against theirs, on features whose answer is known. Where values differ, it says
why; wherever the other definition fits in a few lines, it was restated from documentation or paper, and gave the library's value
too.

`make definitions` installs the libraries in a folder of their own, runs `bench/definitions` and writes this page; it fails
where a line has stopped being true. Values count as equal within 1 part in {1 / TOLERANCE:,.0f}; so do 'undefined' here and NaN
or an error there. `collapselab explain METRIC` prints the full definition of one of ours.
"""

QUESTIONS = """\
## Before you compare two numbers

1. **Centred?** A constant added to all features takes an uncentred rank towards 1 and leaves a centred one as it was.
2. **Singular values or eigenvalues?** Eigenvalues of the covariance are the squares: ranks from them are up to ten times smaller.
3. **Normalised first?** CEV-AUC, uniformity, alignment and the standard deviation of SimSiam are of vectors of length 1.
4. **What is added, and where?** An epsilon added to d shares after normalising grows with d.
5. **Groups of what?** LiDAR wants views of one image: classes or neighbours in a batch give another quantity.
6. **N - 1 or N, and how many images?** Every rank ends at min(N - 1, d), or at min(N, d) uncentred.
7. **What does it say of zeros, duplicates, fewer images than dimensions?** 0, NaN, 1e10 and an error all occur.
"""


@dataclass(frozen=True)
class Meaning:
    """One thing that a name may mean: a metric of ours, or what a comparison of it with a library found there."""

    name: str
    means: str
    metric: str
    on: tuple[str, ...]
    library: Library | None = None
    call: str = ""


LAW, SHIFTED, SAMPLED, FEW, SHEET = ("power law",), ("power law + 3",), ("sampled",), ("N < d",), ("sheet",)
BOTH, LARGE, VIEWS = (
    (*LAW, *SHIFTED),
    ("power law", "power law + 3", "one-hot 2048", "rank 1, 2048"),
    ("views", "view noise"),
)
UNEVEN = ("uneven classes",)

MEANINGS = (
    Meaning("effective rank", "entropy of singular values, centred", "effective_rank", LAW),
    Meaning("effective rank", "entropy of covariance eigenvalues (ssrlib)", "spectral_entropy_rank", LAW),
    Meaning("RankMe", "entropy of singular values, not centred, 1e-7 added to each share", "rankme", LARGE),
    Meaning("RankMe", "with 1e-5 added (stable-pretraining)", "rankme", LARGE, STABLE, "`callbacks.RankMe`"),
    Meaning("RankMe", "entropy of covariance eigenvalues (ssrlib, reptrix)", "spectral_entropy_rank", BOTH),
    Meaning("stable rank", "of features as they are", "stable_rank", BOTH),
    Meaning("stable rank", "of centred features, alias NESum", "nesum", BOTH),
    Meaning("participation ratio", "of covariance eigenvalues", "participation_ratio", (*LAW, *FEW)),
    Meaning(
        "participation ratio",
        "of singular values (ndtracker)",
        "participation_ratio",
        (*LAW, *FEW),
        NDTRACKER,
        "`participation_ratio`",
    ),
    Meaning(
        "participation ratio",
        "corrected for few images (dimensionality)",
        "participation_ratio",
        FEW,
        DIMENSIONALITY,
        "`participation_ratio`, row",
    ),
    Meaning("rank", "singular values above the rounding of the floats", "numerical_rank", LAW),
    Meaning("rank", "singular values above 1 % of the first", "rank_above_hundredth", LAW),
    Meaning(
        "rank",
        "eigenvalues above 5 % of the first (scikit-dimension)",
        "rank_above_hundredth",
        LAW,
        SKDIM,
        "`lPCA(ver='FO')`",
    ),
    Meaning("CEV-AUC", "cumulative singular values, as published", "cev_auc", LAW),
    Meaning(
        "CEV-AUC", "cumulative variance", "cev_auc", LAW, SKLEARN, "mean of `PCA().explained_variance_ratio_.cumsum()`"
    ),
    Meaning("alpha", "weights 1 / i, all eigenvalues", "alpha_req", SAMPLED),
    Meaning("alpha", "weights 1 / i, eigenvalues 11 to 100 (reptrix)", "alpha_req", SAMPLED, REPTRIX, "`get_alpha`"),
    Meaning("alpha", "no weights, the first nine tenths (ssrlib)", "alpha_req", SAMPLED, SSRLIB, "`AlphaReQProcessor`"),
    Meaning("LiDAR", "groups are the views of an image", "lidar", VIEWS),
    Meaning(
        "LiDAR",
        "groups are consecutive rows: here all first views, then all second ones (stable-pretraining)",
        "lidar",
        VIEWS,
        STABLE,
        "`callbacks.LiDAR`, rows in batch order",
    ),
    Meaning(
        "LiDAR", "groups are classes (stable-pretraining's JAX)", "lidar", ("views",), STABLE, "`jax.callbacks.LiDAR`"
    ),
    Meaning("LiDAR", "rank of the squares (reptrix)", "lidar", VIEWS, REPTRIX, "`get_lidar`"),
    Meaning("uniformity", "t = 2, as published", "uniformity", LAW),
    Meaning(
        "uniformity", "t = 1, lightly's default", "uniformity", LAW, LIGHTLY, "`HypersphereLoss()`, its default t = 1"
    ),
    Meaning("collapse level", "standard deviation of normalised features, over N", "normalised_std", FEW),
    Meaning("collapse level", "over N - 1 (lightly)", "normalised_std", FEW, LIGHTLY, "`std_of_l2_normalized`"),
    Meaning("SelfCluster", "centred first", "self_cluster", SHIFTED),
    Meaning("SelfCluster", "as published", "self_cluster_uncentred", SHIFTED),
    Meaning("intrinsic dimension", "TwoNN by maximum likelihood", "two_nn", SHEET),
    Meaning(
        "intrinsic dimension",
        "TwoNN by a line, a tenth cut off (scikit-dimension)",
        "two_nn",
        SHEET,
        SKDIM,
        "`TwoNN()`",
    ),
    Meaning("intrinsic dimension", "20 neighbours, harmonic mean", "lid_mle", SHEET),
    Meaning("intrinsic dimension", "20 neighbours, geometric mean (LDReg)", "ldreg", SHEET),
    Meaning(
        "intrinsic dimension", "20 neighbours, arithmetic mean", "lid_mle", SHEET, SKDIM, "`MLE().fit(comb='mean')`"
    ),
    Meaning("NC1", "class means from their own mean", "nc1", UNEVEN),
    Meaning(
        "NC1", "class means from the mean of all images (ssrlib)", "nc1", UNEVEN, SSRLIB, "`NeuralCollapseProcessor`"
    ),
    Meaning("redundancy", "correlations, mean of the squares", "redundancy", LAW),
    Meaning(
        "redundancy",
        "covariances, sum of the squares over d (VICReg's loss)",
        "redundancy",
        LAW,
        LIGHTLY,
        "VICReg's `covariance_loss`",
    ),
    Meaning("CKA", "plain", "cka_to_start", ("start", "unrelated")),
    Meaning("CKA", "unbiased", "cka_to_start", ("start", "unrelated"), CKATORCH, "`cka_base(unbiased=True)`"),
    Meaning("information in a softmax", "corrected for N", "mutual_information", ("softmax",)),
    Meaning("information in a softmax", "plain", "mutual_information", ("softmax",), SCIPY, "difference of the two"),
)


def number(value: float | str | None) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, str):
        return f"`{value}`"
    if np.isnan(value):
        return "NaN"
    return f"{value:.5g}" if abs(value) >= 5e-7 else "0"


def agreement(result: Result) -> str:
    """Of all features of a comparison."""
    different, on = result.different, result.comparison.on
    if len(different) in (0, len(on)):
        return "no" if different else "yes"
    if on[0] not in different:
        return f"yes, except on {listed(different)}"
    return f"no, except on {listed([name for name in on if name not in different])}"


def listed(names: Sequence[str]) -> str:
    return "; ".join(names)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


class Page:
    """docs/definitions.md."""

    def __init__(
        self,
        results: Sequence[Result],
        skipped: Sequence[Comparison],
        of_losses: Sequence[losses.LossResult],
    ) -> None:
        self.results = results
        self.skipped = skipped
        self.of_losses = of_losses

    def __str__(self) -> str:
        parts = (
            INTRODUCTION,
            self.choice(),
            QUESTIONS,
            self.summary(),
            self.values(),
            self.losses(),
            self.inputs(),
            self.libraries(),
        )
        return "\n".join(parts)

    def choice(self) -> str:
        """What a name may mean, with the values that tell the meanings apart."""
        rows, last = [], ""
        for told in MEANINGS:
            read = "; ".join(self.read(told, name) for name in told.on)
            here = f"`{told.metric}`" if told.library is None else "not here"
            rows.append((told.name if told.name != last else "", told.means, "; ".join(told.on), read, here))
            last = told.name
        head = ("you say", "it may mean", "on", "reads", "here")
        return "## Which of these did you mean?\n\n" + table(head, rows)

    def read(self, told: Meaning, name: str) -> str:
        """The value on features called `name`."""
        if told.library is None:
            return number(ours(told.metric, name))
        for result in self.results:
            of = result.comparison
            if (of.metric, of.library, of.call) == (told.metric, told.library, told.call):
                return number(result.theirs[name])
        return "not run"

    def summary(self) -> str:
        """One line a comparison, with the features that tell most."""
        rows = []
        for result in self.results:
            told = result.comparison
            first = told.on[0]
            note = "not installed: its definition restated; " if result.stand_in else ""
            rows.append(
                (
                    f"`{told.metric}`",
                    first,
                    number(result.ours[first]),
                    f"{told.library.shown}: {told.call}",
                    number(result.theirs[first]),
                    agreement(result),
                    note + told.why,
                )
            )
        head = ("metric", "on", "ours", "library", "its value", "equal?", "why")
        text = "## The table\n\n'Equal?' speaks of all features of the comparison; the value shown is of the first.\n\n"
        gaps = [
            f"- `{told.metric}`: {told.call}: {told.library.distribution} {missing(told.library)}"
            for told in self.skipped
        ]
        return text + table(head, rows) + ("\nNot run:\n\n" + "\n".join(gaps) + "\n" if gaps else "")

    def values(self) -> str:
        """All values: metric by metric, features for columns."""
        parts = ["## All values\n"]
        for metric in dict.fromkeys(result.comparison.metric for result in self.results):
            those = [result for result in self.results if result.comparison.metric == metric]
            names = list(dict.fromkeys(name for result in those for name in sorted(result.comparison.on, key=order)))
            names.sort(key=order)
            rows = [("collapselab", *(number(ours(metric, name)) for name in names))]
            rows += [
                (
                    f"{result.comparison.library.distribution}: {result.comparison.call}",
                    *(number(result.theirs[name]) if name in result.theirs else "" for name in names),
                )
                for result in those
            ]
            parts.append(f"### {metric}\n\n" + table(("", *names), rows))
        return "\n".join(parts)

    def losses(self) -> str:
        """Our losses and lightly's, for the same outputs."""
        if not self.of_losses:
            return f"## Losses\n\nNot run: {LIGHTLY.distribution} {missing(LIGHTLY)}.\n"
        names = list(self.of_losses[0].ours)
        rows = []
        for result in self.of_losses:
            told = result.comparison
            values = [f"{number(result.ours[name])}; {number(result.theirs[name])}" for name in names]
            different = result.different
            equal = "yes" if not different else "no" if len(different) == len(names) else f"no, on {listed(different)}"
            rows.append((f"`{told.method}`", told.call, *values, equal, told.why))
        head = ("method", LIGHTLY.shown, *(f"{name}: ours; theirs" for name in names), "equal?", "why")
        return LOSSES + table(head, rows)

    def inputs(self) -> str:
        rows = [(name, of.note) for name, of in features().items()]
        return f"## Features\n\nOf one seed ({SEED}), in float64.\n\n" + table(("name", "what it is"), rows)

    def libraries(self) -> str:
        used = dict.fromkeys(told.library for told in COMPARISONS)
        rows = [
            (one.distribution, missing(one) or one.version) for one in sorted(used, key=lambda one: one.distribution)
        ]
        return "## Libraries\n\n" + table(("library", "version"), rows) + "\n" + LIBRARY_NOTES


LOSSES = f"""\
## Losses

Each loss follows its paper; a test writes the paper's pseudo-code out beside it. Here they stand beside lightly's, for the same
{losses.IMAGES} x {losses.WIDTH} outputs: of no relation, of two views that nearly agree, and constant. Where values differ,
the other definition was restated and gave lightly's value. lightly has no loss of its own for token distillation, and trains I-JEPA
on torch's smooth L1, as we do.

"""

LIBRARY_NOTES = """\
Of stable-pretraining the files with the two callbacks are imported as they are, but not the package around them, which needs
transformers, datasets and JAX. torchmetrics has none of these metrics. dadapy (TwoNN by maximum likelihood, among others) needs a
NumPy before 2, which collapselab doesn't support.
"""


def order(name: str) -> int:
    return list(features()).index(name)
