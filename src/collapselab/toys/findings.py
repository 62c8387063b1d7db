"""What the page says first and last: what was found, in numbers read off the results, and how it was made."""

from __future__ import annotations

from collapselab.report.tables import short
from collapselab.toys.experiments import (
    DEPTH_SEEDS,
    DEPTHS,
    DIM,
    IMAGES,
    RATE,
    SEED,
    SMALL,
    TIMES,
    WEAK,
    Strong,
    Toys,
    entropy_rank,
)

PROTOCOL = (
    f"Data: {IMAGES} Gaussian x in {DIM} dimensions; augmentation: x' = x + e with Gaussian e, x stays clean "
    "unless said. Their covariances are exact in the "
    "sample, in the paper's convention (mean of (x_i - x_j)(x_i - x_j)^T over pairs, mean of e e^T over images).",
    "Loss: InfoNCE on squared Euclidean distances, without normalisation or temperature (equation 1), the mean over images.",
    f"Training: full-batch gradient descent at rate {RATE:g}, float64; time is rate times steps. The theorems are about "
    "the gradient flow, which this follows to first order in the rate.",
    f"Initial weights: Gaussian, standard deviation {SMALL:g}; in the comparison of depths 1/sqrt(3 d), as torch draws them.",
    f"One seed ({SEED}), for the depths {len(DEPTH_SEEDS)}. The tests hold the theory itself, under an X that stands still: the "
    "closed form, the conservation law, alignment and rates, to rounding or to the integrator's order.",
)


def findings(toys: Toys) -> list[str]:
    strong, depths = toys.strong, {n: f"{entropy_rank(toys.depth[n, False]).mean():.1f}" for n in DEPTHS}
    return [
        f"Strong augmentation: one linear layer W is trained under noise of variance k in half of the {DIM} coordinates; the data "
        f"has 1 in each. By time {TIMES[-1]:g} (learning rate times steps) the geometric mean of the smaller half of W's singular "
        f"values has changed by a factor of {_each(strong, (0.5, 1.0, 1.5, 4.0))}. It is as at the start at k = "
        f"{strong.crossing(TIMES[-1]):.2f} (k = {strong.crossing(TIMES[1]):.2f} at time {TIMES[1]:g}); theory says 1, where "
        "X, the data's covariance less the augmentation's, has the eigenvalue 0 in the noisy half. "
        "That holds where one view is augmented; with the same noise spread over both, as SimCLR does, the factor at k = 4 is "
        f"{short(toys.both.least[4.0, TIMES[-1]], 2)}.",
        f"Implicit regularisation: with augmentation of only {WEAK:g}, two layers keep {toys.weak.kept[-1]} of {DIM} "
        f"directions above a hundredth of the largest. From torch's larger initial weights, embeddings of 1, 2, 3 and 4 layers "
        f"have spectral-entropy ranks of {depths[1]}, {depths[2]}, {depths[3]} and {depths[4]}.",
        f"The second collapse can be undone, the first not: under noise of {toys.stronger.noise:g}, where the loss "
        "cannot vanish, the "
        f"small directions catch up one by one, and {toys.stronger.kept[-1]} of {DIM} are there at time "
        f"{toys.stronger.times[-1]:g} ({toys.stronger.kept[toys.stronger.row(50)]} at time 50).",
    ]


def _each(strong: Strong, amplitudes: tuple[float, ...]) -> str:
    words = [f"{short(strong.least[k, TIMES[-1]], 2)} at k = {k:g}" for k in amplitudes]
    return f"{', '.join(words[:-1])} and {words[-1]}"
