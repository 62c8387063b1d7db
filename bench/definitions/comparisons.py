"""Every comparison of bench/definitions: one metric of ours against one call of another library, and how it is run."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.stats
import torch
from bench.definitions.features import (
    Features,
    batch_order,
    by_label,
    cdnv,
    centred,
    cka_gram,
    cka_unbiased,
    exp_entropy,
    features,
    grouped,
    lidar_twice,
    lidar_unbiased,
    local_dimensions,
    nc1,
    participation,
    singular,
    slope,
    softmax_rows,
    spectrum,
    squared_cosines,
    two_nn_line,
    two_nn_unbiased,
    two_views,
    uniformity,
    unit,
    viewed,
)
from bench.definitions.libraries import (
    CKATORCH,
    DIMENSIONALITY,
    LIGHTLY,
    NDTRACKER,
    NUMPY,
    QUALITY,
    REPTRIX,
    SCIPY,
    SKDIM,
    SKLEARN,
    SSRLIB,
    STABLE,
    TORCH,
    Library,
    cumulative_variance,
    generalised_lidar,
    hypersphere,
    missing,
    ndtracker,
    one_way,
    quality,
    skdim,
    ssrlib,
    stable_pretraining,
    their_lidar,
    their_rankme,
    weighted_line,
)

from collapselab.collapse.registry import load_metrics

TOLERANCE = 1e-5  # relative: values nearer than this are equal


SPECTRAL = ("isotropic", "rank 8", "power law", "power law + 3", "N < d", "zeros")


@dataclass(frozen=True)
class Comparison:
    """One metric of ours against one call of another library.

    Attributes:
        on: features it is run on; the table shows the first.
        differs: those on which the values must differ; on the others they must be equal.
        fails: those for which the library raises instead; an error elsewhere is a call that no longer fits.
        restated: the other definition in a few lines, where it is another one and can be said in a few.
        why: what makes the difference; for equal values, what they share.
    """

    metric: str
    library: Library
    call: str
    theirs: Callable[[Features], float]
    on: tuple[str, ...]
    why: str
    differs: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    restated: Callable[[Features], float] | None = None


def all_but(*equal: str) -> tuple[str, ...]:
    return tuple(name for name in SPECTRAL if name not in equal)


def shown_first(first: str, names: Sequence[str] = SPECTRAL) -> tuple[str, ...]:
    return (first, *(name for name in names if name != first))


ZEROS = "; zeros have no rank: undefined here, 0 there"
LAW, SHIFTED = shown_first("power law"), shown_first("power law + 3")

COMPARISONS = (
    # effective_rank
    Comparison(
        "effective_rank",
        SCIPY,
        "`stats.entropy` of `linalg.svdvals`",
        lambda of: np.exp(scipy.stats.entropy(singular(centred(of.z)))),
        LAW,
        "the definition: singular values of the centred features",
    ),
    Comparison(
        "effective_rank",
        SSRLIB,
        "`EffectiveRankProcessor`",
        ssrlib("EffectiveRankProcessor"),
        LAW,
        "cites Roy and Vetterli, but takes eigenvalues of the covariance, the squares: it is our `spectral_entropy_rank`"
        + ZEROS,
        differs=all_but("isotropic", "rank 8"),
        restated=lambda of: exp_entropy(spectrum(of.z)) if of.z.any() else 0.0,
    ),
    # spectral_entropy_rank
    Comparison(
        "spectral_entropy_rank",
        SCIPY,
        "`stats.entropy` of covariance eigenvalues",
        lambda of: np.exp(scipy.stats.entropy(spectrum(of.z))),
        LAW,
        "the definition",
    ),
    Comparison(
        "spectral_entropy_rank",
        SSRLIB,
        "`EffectiveRankProcessor`",
        ssrlib("EffectiveRankProcessor"),
        LAW,
        "the same under another name" + ZEROS,
        differs=("zeros",),
        restated=lambda of: exp_entropy(spectrum(of.z)) if of.z.any() else 0.0,
    ),
    Comparison(
        "spectral_entropy_rank",
        SSRLIB,
        "`RankMeProcessor`",
        ssrlib("RankMeProcessor"),
        LAW,
        "the same under another name" + ZEROS,
        differs=("zeros",),
        restated=lambda of: exp_entropy(spectrum(of.z)) if of.z.any() else 0.0,
    ),
    Comparison(
        "spectral_entropy_rank",
        REPTRIX,
        "`get_rankme`",
        lambda of: importlib.import_module("reptrix.rankme").get_rankme(torch.from_numpy(of.z)),
        LAW,
        "the same but for the 1e-7 that it adds to each share of the variance",
        differs=all_but("zeros"),
        restated=lambda of: exp_entropy(spectrum(of.z), 1e-7),
    ),
    # rankme
    Comparison(
        "rankme",
        QUALITY,
        "`RankMe`",
        quality("RankMe"),
        (*SHIFTED, "one-hot 2048"),
        "the published definition: singular values of features as they are, 1e-7 added after normalising",
    ),
    Comparison(
        "rankme",
        STABLE,
        "`callbacks.RankMe`",
        lambda of: their_rankme(of.z),
        ("rank 1, 2048", "one-hot 2048", *SPECTRAL),
        "adds 1e-5 where the paper has 1e-7: one direction of 2048 reads more than 1, all 2048 read more than there are",
        differs=("rank 1, 2048", "one-hot 2048", *all_but("zeros")),
        restated=lambda of: exp_entropy(singular(of.z), 1e-5),
    ),
    Comparison(
        "rankme",
        SSRLIB,
        "`RankMeProcessor`",
        ssrlib("RankMeProcessor"),
        LAW,
        "eigenvalues of the covariance in place of singular values of the features, and centred" + ZEROS,
        differs=SPECTRAL,
        restated=lambda of: exp_entropy(spectrum(of.z)) if of.z.any() else 0.0,
    ),
    Comparison(
        "rankme",
        REPTRIX,
        "`get_rankme`",
        lambda of: importlib.import_module("reptrix.rankme").get_rankme(torch.from_numpy(of.z)),
        LAW,
        "shares of variance of a principal component analysis in place of singular values, and so centred",
        differs=("power law", "power law + 3", "N < d"),
        restated=lambda of: exp_entropy(spectrum(of.z), 1e-7),
    ),
    # stable_rank
    Comparison(
        "stable_rank",
        QUALITY,
        "`Stable_rank`",
        quality("Stable_rank"),
        SHIFTED,
        "the definition: of features as they are, so that a constant added to them takes it to 1",
    ),
    Comparison(
        "stable_rank",
        NDTRACKER,
        "`stable_rank`",
        ndtracker("stable_rank"),
        SHIFTED,
        "the definition" + ZEROS,
        differs=("zeros",),
        restated=lambda of: (of.z**2).sum() / (singular(of.z)[0] ** 2 + 1e-10),
    ),
    Comparison(
        "stable_rank",
        SSRLIB,
        "`StableRankProcessor`",
        ssrlib("StableRankProcessor"),
        SHIFTED,
        "the definition" + ZEROS,
        differs=("zeros",),
        restated=lambda of: (of.z**2).sum() / max(singular(of.z)[0] ** 2, 1e-12),
    ),
    Comparison(
        "stable_rank",
        SSRLIB,
        "`StableRankProcessor(center=True)`",
        ssrlib("StableRankProcessor", center=True),
        SHIFTED,
        "centred first: it is our `nesum`" + ZEROS,
        differs=("power law + 3", "N < d", "zeros"),
        restated=lambda of: spectrum(of.z).sum() / max(spectrum(of.z)[0], 1e-12),
    ),
    # nesum
    Comparison("nesum", QUALITY, "`NESum`", quality("NESum"), SHIFTED, "the definition: eigenvalues of the covariance"),
    Comparison(
        "nesum",
        SSRLIB,
        "`NESumProcessor`",
        ssrlib("NESumProcessor"),
        SHIFTED,
        "the definition" + ZEROS,
        differs=("zeros",),
        restated=lambda of: spectrum(of.z).sum() / max(spectrum(of.z)[0], 1e-12),
    ),
    Comparison(
        "nesum",
        NDTRACKER,
        "`stable_rank`",
        ndtracker("stable_rank"),
        SHIFTED,
        "not centred: a constant added to all features takes it to 1, whatever they do",
        differs=("power law + 3", "N < d", "zeros"),
        restated=lambda of: (of.z**2).sum() / (singular(of.z)[0] ** 2 + 1e-10),
    ),
    # participation_ratio
    Comparison(
        "participation_ratio",
        SKDIM,
        "`lPCA(ver='participation_ratio')`",
        lambda of: skdim("lPCA", ver="participation_ratio").fit(of.z).dimension_,
        LAW,
        "the definition: eigenvalues of the covariance",
    ),
    Comparison(
        "participation_ratio",
        SSRLIB,
        "`ParticipationRatioProcessor`",
        ssrlib("ParticipationRatioProcessor"),
        LAW,
        "the definition" + ZEROS,
        differs=("zeros",),
        restated=lambda of: participation(spectrum(of.z)) if of.z.any() else 0.0,
    ),
    Comparison(
        "participation_ratio",
        DIMENSIONALITY,
        "`participation_ratio`, naive",
        lambda of: importlib.import_module("dimensionality").participation_ratio(of.z, return_all=True)["naive"],
        LAW,
        "the definition, by another route",
    ),
    Comparison(
        "participation_ratio",
        DIMENSIONALITY,
        "`participation_ratio`, row",
        lambda of: importlib.import_module("dimensionality").participation_ratio(of.z, return_all=True)["row"],
        ("N < d", "sampled"),
        "corrected for the number of images: ours is biased low by about PR / N; its default also corrects for the number of "
        "dimensions, as if they were a sample of more",
        differs=("N < d", "sampled"),
    ),
    Comparison(
        "participation_ratio",
        NDTRACKER,
        "`participation_ratio`",
        ndtracker("participation_ratio"),
        LAW,
        "singular values in place of eigenvalues (and not centred): many times larger on a steep spectrum; zeros read 1e10",
        differs=all_but("isotropic", "rank 8"),
        restated=lambda of: 1 / (((s := singular(of.z)) / (s.sum() + 1e-10)) ** 2).sum().clip(min=1e-10),
    ),
    # numerical_rank, rank_above_hundredth
    Comparison(
        "numerical_rank",
        NUMPY,
        "`linalg.matrix_rank` of centred features",
        lambda of: np.linalg.matrix_rank(centred(of.z)),
        (*shown_first("rank 8", all_but("zeros")), "zeros"),
        "the same tolerance, max(N, d) eps, except that ours is never below 1e-7, which is all that a covariance resolves"
        + ZEROS,
        differs=("zeros",),
    ),
    Comparison(
        "numerical_rank",
        TORCH,
        "`linalg.matrix_rank`",
        lambda of: float(torch.linalg.matrix_rank(torch.from_numpy(of.z))),
        shown_first("N < d"),
        "not centred: N images span N directions, N - 1 once centred, and a constant adds one" + ZEROS,
        differs=("N < d", "zeros"),
        restated=lambda of: np.linalg.matrix_rank(of.z),
    ),
    Comparison(
        "rank_above_hundredth",
        SKDIM,
        "`lPCA(ver='FO')`",
        lambda of: skdim("lPCA", ver="FO").fit(of.z).dimension_,
        LAW,
        "counts eigenvalues above 5 % of the first; ours counts singular values above 1 %, eigenvalues above .01 %"
        + ZEROS,
        differs=("power law", "power law + 3", "N < d", "zeros"),
        restated=lambda of: (spectrum(of.z) > 0.05 * spectrum(of.z)[0]).sum(),
    ),
    # cev_auc
    Comparison(
        "cev_auc",
        NUMPY,
        "`cumsum` of singular values",
        lambda of: (s := singular(centred(unit(of.z)))[: min(len(of.z) - 1, of.z.shape[1])]).cumsum().mean() / s.sum(),
        LAW,
        "the published definition: singular values of features normalised, then centred",
    ),
    Comparison(
        "cev_auc",
        SKLEARN,
        "mean of `PCA().explained_variance_ratio_.cumsum()`",
        cumulative_variance,
        LAW,
        "explained variance in the usual sense, the squares: nearer to 1 for the same features",
        differs=all_but("zeros"),
        restated=lambda of: (v := spectrum(unit(of.z))).cumsum().mean() / v.sum(),
    ),
    # alpha_req
    Comparison(
        "alpha_req",
        SKLEARN,
        "`LinearRegression`, `sample_weight` 1 / i",
        weighted_line,
        ("power law", "sampled", "N < d"),
        "the definition: log eigenvalue on log i, all attainable eigenvalues",
    ),
    Comparison(
        "alpha_req",
        REPTRIX,
        "`get_alpha`",
        lambda of: importlib.import_module("reptrix.alpha").get_alpha(torch.from_numpy(of.z))[0],
        ("sampled", "power law", "N < d"),
        "the same weights, but only eigenvalues 11 to 100: an exact power law reads the same, a sampled one does not; an error "
        "below 100 eigenvalues",
        differs=("sampled", "N < d"),
        fails=("N < d",),
        restated=lambda of: slope(spectrum(of.z), 11, 100, weighted=True),
    ),
    Comparison(
        "alpha_req",
        SSRLIB,
        "`AlphaReQProcessor`",
        ssrlib("AlphaReQProcessor"),
        ("sampled", "power law", "N < d"),
        "no weights, and the last tenth of the eigenvalues left out: the tail decides, the head hardly counts",
        differs=("sampled", "N < d"),
        restated=lambda of: slope(v := spectrum(of.z), 1, int((v > 0).sum() * 0.9), weighted=False),
    ),
    # lidar
    Comparison(
        "lidar",
        SCIPY,
        "`linalg.eigh(S_b, S_w)`",
        generalised_lidar,
        ("views", "view noise", "faint views"),
        "the published definition, as a generalised eigenvalue problem",
    ),
    Comparison(
        "lidar",
        STABLE,
        "`callbacks.LiDAR`, views of an image in a row",
        lambda of: their_lidar(viewed(of).reshape(-1, viewed(of).shape[2]), *viewed(of).shape[:2]),
        ("faint views", "views"),
        "unbiased scatters (N - 1) in place of averages, so that delta weighs less where features are small; 1e-8 is added before "
        "normalising, not 1e-7 after",
        differs=("faint views", "views"),
        restated=lambda of: lidar_unbiased(viewed(of)),
    ),
    Comparison(
        "lidar",
        STABLE,
        "`callbacks.LiDAR`, rows in batch order",
        lambda of: their_lidar(batch_order(viewed(of)), *viewed(of).shape[:2]),
        ("views", "view noise"),
        "takes consecutive rows for the views of one image; a batch that holds all first views, then all second views, makes "
        "groups of different images, and LiDAR of nothing",
        differs=("views", "view noise"),
        restated=lambda of: lidar_unbiased(grouped(batch_order(viewed(of)), viewed(of).shape[1])),
    ),
    Comparison(
        "lidar",
        STABLE,
        "`jax.callbacks.LiDAR`",
        lambda of: stable_pretraining().lidar_by_label(of.z, of.labels),
        ("views",),
        "class labels for groups: the rank of linear discriminant analysis itself, at most C - 1, under the name of LiDAR",
        differs=("views",),
        restated=lambda of: lidar_unbiased(by_label(of), 0),
    ),
    Comparison(
        "lidar",
        REPTRIX,
        "`get_lidar`",
        lambda of: importlib.import_module("reptrix.lidar").get_lidar(
            torch.from_numpy(viewed(of)), *viewed(of).shape[:2]
        ),
        ("views", "view noise", "faint views"),
        "takes LiDAR's matrix for features and decomposes the covariance of its rows, in effect the squares of the eigenvalues; "
        "sums, not averages, within an image, and delta 1e-6",
        differs=("views", "view noise", "faint views"),
        restated=lambda of: lidar_twice(viewed(of)),
    ),
    # uniformity, alignment
    Comparison(
        "uniformity",
        LIGHTLY,
        "`HypersphereLoss(t=2)` of features with themselves",
        lambda of: hypersphere(of.z, of.z, t=2),
        ("power law", "power law + 3", "isotropic", "N < d"),
        "the published definition, t = 2, without self pairs",
    ),
    Comparison(
        "uniformity",
        LIGHTLY,
        "`HypersphereLoss()`, its default t = 1",
        lambda of: hypersphere(of.z, of.z),
        ("power law", "power law + 3", "isotropic", "N < d"),
        "t = 1: nearer to 0 for the same features",
        differs=("power law", "power law + 3", "isotropic", "N < d"),
        restated=lambda of: uniformity(unit(of.z), 1),
    ),
    Comparison(
        "alignment",
        LIGHTLY,
        "`HypersphereLoss(lam=0)`",
        lambda of: hypersphere(viewed(of)[:, 0], viewed(of)[:, 1], lam=0),
        ("two views", "views"),
        "the published definition; with more than two views ours averages over all pairs, theirs takes two",
        differs=("views",),
        restated=lambda of: ((two_views(of)[0] - two_views(of)[1]) ** 2).sum(1).mean(),
    ),
    # normalised_std
    Comparison(
        "normalised_std",
        LIGHTLY,
        "`std_of_l2_normalized`",
        lambda of: float(importlib.import_module("lightly.utils.debug").std_of_l2_normalized(torch.from_numpy(of.z))),
        ("N < d", "isotropic", "power law", "power law + 3", "zeros"),
        "divides by N - 1 where ours divides by N: a factor sqrt(N / (N - 1))",
        differs=("N < d", "isotropic", "power law", "power law + 3"),
        restated=lambda of: unit(of.z).std(0, ddof=1).mean(),
    ),
    # self_cluster
    Comparison(
        "self_cluster",
        NUMPY,
        "all squared cosines, centred",
        lambda of: squared_cosines(centred(of.z)),
        ("power law + 3", "power law", "isotropic", "N < d", "even classes"),
        "no library found: the published formula in plain NumPy, after centring",
    ),
    Comparison(
        "self_cluster",
        NUMPY,
        "all squared cosines, as published",
        lambda of: squared_cosines(of.z),
        ("power law + 3", "power law", "isotropic", "N < d", "even classes"),
        "not centred: a large mean reads as one tight cluster; it is our `self_cluster_uncentred`",
        differs=("power law + 3", "N < d", "even classes"),
    ),
    Comparison(
        "self_cluster_uncentred",
        NUMPY,
        "all squared cosines, as published",
        lambda of: squared_cosines(of.z),
        ("power law + 3", "power law", "isotropic", "N < d", "even classes"),
        "no library found: the published formula in plain NumPy",
    ),
    # intrinsic dimension
    Comparison(
        "two_nn",
        SKDIM,
        "`TwoNN()`",
        lambda of: skdim("TwoNN").fit(of.z).dimension_,
        ("sheet", "sheet, duplicates", "sampled"),
        "fits a line and leaves out the tenth of the largest ratios; ours is the maximum likelihood of all. Images that occur "
        "twice are dropped there, here one of them is",
        differs=("sheet", "sheet, duplicates", "sampled"),
        restated=lambda of: two_nn_line(of.z),
    ),
    Comparison(
        "two_nn",
        SKDIM,
        "`TwoNN(method='mle', discard_fraction=0)`",
        lambda of: skdim("TwoNN", method="mle", discard_fraction=0).fit(of.z).dimension_,
        ("sheet", "sheet, duplicates", "sampled"),
        "maximum likelihood times (N - 1) / N, which makes it unbiased",
        differs=("sheet", "sheet, duplicates", "sampled"),
        restated=lambda of: two_nn_unbiased(of.z),
    ),
    Comparison(
        "two_nn",
        SKDIM,
        "`TwoNN()`, in whole numbers",
        lambda of: np.round(skdim("TwoNN").fit(of.z).dimension_),
        ("wide, duplicates",),
        "above 15 dimensions its distances carry rounding: images that occur twice are neither equal nor dropped, and take it to 0",
        differs=("wide, duplicates",),
    ),
    Comparison(
        "lid_mle",
        SKDIM,
        "`MLE().fit(comb='mle')`",
        lambda of: skdim("MLE").fit(of.z, comb="mle").dimension_,
        ("sheet", "sampled", "sheet, duplicates"),
        "the same: 20 neighbours, the harmonic mean of MacKay and Ghahramani; an image that occurs twice takes theirs to 0",
        differs=("sheet, duplicates",),
        restated=lambda of: 1 / np.mean(1 / local_dimensions(of.z)),
    ),
    Comparison(
        "lid_mle",
        SKDIM,
        "`MLE().fit(comb='mean')`",
        lambda of: skdim("MLE").fit(of.z, comb="mean").dimension_,
        ("sheet", "sampled"),
        "the arithmetic mean of Levina and Bickel's paper: some percent higher",
        differs=("sheet", "sampled"),
        restated=lambda of: local_dimensions(of.z).mean(),
    ),
    Comparison(
        "ldreg",
        SKDIM,
        "geometric mean of `MLE().fit().dimension_pw_`",
        lambda of: np.exp(np.log(skdim("MLE").fit(of.z).dimension_pw_).mean()),
        ("sheet", "sampled"),
        "the same local values, LDReg's mean of them",
    ),
    # classes
    Comparison(
        "nc1",
        SSRLIB,
        "`NeuralCollapseProcessor`",
        lambda of: (
            importlib.import_module("ssrlib.processing")
            .create_processor("NeuralCollapseProcessor")
            .process(of.z, labels=of.labels)[0]
        ),
        ("even classes", "uneven classes"),
        "the same on classes of one size; on others theirs measures class means from the mean of all images, ours from the mean of "
        "the class means",
        differs=("uneven classes",),
        restated=lambda of: nc1(of, of.z.mean(0)),
    ),
    Comparison(
        "nc1",
        NUMPY,
        "`trace(S_W @ pinv(S_B)) / C`",
        lambda of: nc1(of, np.stack([part.mean(0) for part in by_label(of)]).mean(0)),
        ("even classes", "uneven classes"),
        "the published definition in plain NumPy",
    ),
    Comparison(
        "cdnv",
        NUMPY,
        "all pairs of classes",
        cdnv,
        ("even classes", "uneven classes"),
        "no library found: the published formula in plain NumPy",
    ),
    # redundancy
    Comparison(
        "redundancy",
        NUMPY,
        "mean off-diagonal `corrcoef` squared",
        lambda of: ((c := np.corrcoef(of.z.T) ** 2).sum() - np.trace(c)) / (len(c) * (len(c) - 1)),
        ("power law", "isotropic", "rank 8", "power law + 3", "N < d"),
        "the definition: correlations, so free of scale",
    ),
    Comparison(
        "redundancy",
        LIGHTLY,
        "VICReg's `covariance_loss`",
        lambda of: float(importlib.import_module("lightly.loss.vicreg_loss").covariance_loss(torch.from_numpy(of.z))),
        ("power law", "rank 8", "power law + 3", "N < d"),
        "covariances, not correlations, and their sum over d, not their mean: it falls with the scale of the features",
        differs=("power law", "rank 8", "power law + 3", "N < d"),
        restated=lambda of: ((c := np.cov(of.z.T) ** 2).sum() - np.trace(c)) / len(c),
    ),
    # cka
    Comparison(
        "cka_to_start",
        CKATORCH,
        "`cka_base`",
        lambda of: importlib.import_module("ckatorch.core").cka_base(
            torch.from_numpy(of.z), torch.from_numpy(of.start)
        ),
        ("start", "unrelated"),
        "the same, from N x N Gram matrices",
    ),
    Comparison(
        "cka_to_start",
        NUMPY,
        "centred Gram matrices",
        cka_gram,
        ("start", "unrelated"),
        "the same, from N x N Gram matrices",
    ),
    Comparison(
        "cka_to_start",
        CKATORCH,
        "`cka_base(unbiased=True)`",
        lambda of: importlib.import_module("ckatorch.core").cka_base(
            torch.from_numpy(of.z), torch.from_numpy(of.start), unbiased=True
        ),
        ("unrelated", "start"),
        "unbiased HSIC: near 0 for unrelated features, where the plain one is far above it if images are few",
        differs=("unrelated", "start"),
        restated=cka_unbiased,
    ),
    # softmax, views
    Comparison(
        "mean_entropy",
        SCIPY,
        "mean of `stats.entropy`",
        lambda of: scipy.stats.entropy(softmax_rows(of), axis=1).mean(),
        ("softmax",),
        "the definition, nats",
    ),
    Comparison(
        "marginal_entropy",
        SCIPY,
        "`stats.entropy` of the mean",
        lambda of: scipy.stats.entropy(softmax_rows(of).mean(0)),
        ("softmax",),
        "the definition, nats",
    ),
    Comparison(
        "mutual_information",
        SCIPY,
        "difference of the two",
        lambda of: scipy.stats.entropy(softmax_rows(of).mean(0)) - scipy.stats.entropy(softmax_rows(of), axis=1).mean(),
        ("softmax",),
        "plain: low by up to (K - 1) / 2N, the bias of an entropy of N images, which ours corrects (jackknife)",
        differs=("softmax",),
    ),
    Comparison(
        "variance_ratio",
        SCIPY,
        "(F - 1) / q of `stats.f_oneway`",
        one_way,
        ("one coordinate",),
        "the same: F of a one-way analysis of variance, images for groups",
    ),
)


@dataclass(frozen=True)
class Result:
    """Values by features; `stand_in`: theirs are restated, for want of the library; `unexpected`: what is not as declared."""

    comparison: Comparison
    ours: dict[str, float | None]
    theirs: dict[str, float | str]
    stand_in: bool
    unexpected: tuple[str, ...]

    @property
    def different(self) -> tuple[str, ...]:
        return tuple(name for name in self.comparison.on if not same(self.ours[name], self.theirs[name]))


def attempt(call: Callable[[Features], float], of: Features) -> float | str:
    """A value, or the name of the error."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return float(call(of))
        except Exception as error:  # any: what it is, is the result
            return type(error).__name__


def same(one: float | str | None, other: float | str | None) -> bool:
    """Equal up to TOLERANCE. None, NaN and an error all say that there is no value."""
    a, b = (np.nan if value is None or isinstance(value, str) else float(value) for value in (one, other))
    if np.isnan(a) or np.isnan(b):
        return bool(np.isnan(a) and np.isnan(b))
    return bool(a == b or abs(a - b) <= TOLERANCE * max(abs(a), abs(b)))


@cache
def ours(metric: str, name: str) -> float | None:
    return load_metrics()[metric].compute(features()[name].evidence)


def run(comparison: Comparison) -> Result | None:
    """None where the library is missing and nothing stands in for it."""
    absent = bool(missing(comparison.library))
    if absent and comparison.restated is None:
        return None
    call = comparison.restated if absent and comparison.restated else comparison.theirs
    mine = {name: ours(comparison.metric, name) for name in comparison.on}
    theirs = {name: attempt(call, features()[name]) for name in comparison.on}
    unexpected = []
    for name in comparison.on:
        if same(mine[name], theirs[name]) == (name in comparison.differs):
            relation = "differ" if name not in comparison.differs else "are equal"
            unexpected.append(f"on {name} the values {relation}: {mine[name]} here, {theirs[name]} there")
        if isinstance(theirs[name], str) and mine[name] is not None and name not in comparison.fails:
            unexpected.append(f"on {name} the call fails: {theirs[name]}")
        if comparison.restated and not absent:
            restated = attempt(comparison.restated, features()[name])
            if not same(restated, theirs[name]):
                unexpected.append(f"on {name} the restated definition gives {restated}, the library {theirs[name]}")
    return Result(comparison, mine, theirs, absent, tuple(unexpected))
