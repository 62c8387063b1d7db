"""The report's standing texts: captions, what the kinds of collapse mean, and what the diagnosis does not know."""

from __future__ import annotations

# chart -> title, caption
CAPTIONS: dict[str, tuple[str, str]] = {
    "overview": (
        "k-NN before and after training",
        "Open ring: random initialisation. Dot: after training, the mean over seeds, which the small strokes show "
        "one by one. Blue and solid: healthy. Red and dashed: collapsed. Dotted: k-NN on the raw pixels.",
    ),
    "loss": (
        "Loss",
        "The training loss and its terms, as each method defines them. Only regimes of one method share their axes:"
        " the losses of different methods cannot be compared.",
    ),
    "knn": (
        "k-NN over training",
        "Share of validation images whose class a weighted k-NN names correctly, from the representation. A curve "
        "that stays on its dotted line has learnt nothing that k-NN can see here. Bank and queries are small, so the curve can "
        "miss a gain that the table, which decides, shows.",
    ),
    "std": (
        "Normalised standard deviation",
        "Mean over channels of the standard deviation of z/||z||. Spread evenly over the sphere it is 1/sqrt(d), "
        "dotted; at a complete collapse it falls to 0. A large common mean lowers it too, so it is read against its"
        " own step 0.",
    ),
    "effective-rank": (
        "Effective rank",
        "exp of the entropy of the singular values of the centred features (Roy and Vetterli 2007). No rank decides"
        " alone: at an exact collapse it measures rounding noise and looks healthy.",
    ),
    "spectral-entropy-rank": (
        "Spectral-entropy rank",
        "The same formula on the eigenvalues of the covariance, the squares of those singular values. It is up to "
        "ten times smaller than the effective rank, and the two are never to be compared.",
    ),
    "entropies": (
        "Entropies of the softmax outputs",
        "The entropy of each output, averaged, and the entropy of the averaged output. Both at 0: one-hot, the same"
        " class for everything. Both at log K, dotted: uniform, the outputs say nothing. The gap between the two is"
        " what the outputs say about the image.",
    ),
    "variance-ratio": (
        "Between-image over within-view variance",
        "How far images lie apart, against how far the views of one image do, corrected for the number of views. "
        "Near 0, images cannot be told from augmentation noise. It depends on the augmentation, so it is read "
        "against the same regime's step 0. Values below 0.01 are drawn there.",
    ),
    "token-spectra": (
        "Spectra of all token outputs, student and teacher",
        "The founding notebook's figure: log eigenvalues of the covariance of all token outputs, here in eval mode,"
        " on shared axes, and with step 0 drawn in. A covariance ignores the mean: a collapse that moves all "
        "outputs together can leave this spectrum as it was.",
    ),
    "spectra": (
        "Spectra of each layer",
        "Log eigenvalues of the covariance, one vector an image, in eval mode, with the random initialisation drawn"
        " in. A fall of the whole curve is a loss of size; a drop inside it is a dimensional collapse.",
    ),
}

KINDS = {
    "complete": (
        "All images map to one vector: against random initialisation, a typical image has lost almost all its distance "
        "from the middle of all images and "
        "almost all its difference in direction, and stands out from its own augmented views hardly more than then. Half the "
        "way between two thresholds of each of these three (distance .2 to .02 of the start, direction .3 to .03, view ratio "
        "2 to 1) is severity .5, a verdict; the smallest of the three counts."
    ),
    "one-hot": (
        "The softmax gives the same class to everything: both entropies are near 0, whatever the logits' spectrum "
        "shows."
    ),
    "uniform": "The softmax says nothing: both entropies are near log K, and a cross-entropy loss is stuck there.",
}

# kind of preview -> what it shows
PREVIEWS = {
    "first": "The first ten images of epoch 0.",
    "strength": "Four images: clean, then as eight epochs draw them.",
}

NOT_YET = (
    "Only complete, one-hot and uniform collapse are diagnosed at present; the full diagnosis is missing. "
    "The verdict healthy therefore means: none of these three. Dimensional, cluster, norm, token and nuisance collapse "
    "can go unnamed here; the ranks, spectra and variance ratios below are the place to look for them."
)
