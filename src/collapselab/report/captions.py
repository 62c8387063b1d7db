"""The report's standing texts: captions of figures and previews."""

from __future__ import annotations

# chart -> title, caption
CAPTIONS: dict[str, tuple[str, str]] = {
    "overview": (
        "k-NN before and after training",
        "Open ring: random initialisation. Dot: after training, the mean over seeds, which the small strokes show "
        "one by one. Blue and solid: healthy. Red and dashed: collapsed. Dotted: k-NN on the raw pixels.",
    ),
    "spectra": (
        "Spectra of each layer",
        "Log eigenvalues of the covariance, one vector an image, in eval mode, on shared axes. Dotted: random initialisation. "
        "Thin: the same features with each dimension shuffled over images, so what the variances alone would give. "
        "A fall of the whole curve is a loss of size; a drop inside it is a dimensional collapse.",
    ),
    "spectra-over-steps": (
        "Spectra over training",
        "The same eigenvalues at every snapshot of the first seed: from left to right training, from top to bottom the "
        "directions, one colour scale for all; orange names a layer of a regime that collapsed. Steps are snapshots, not evenly "
        "spaced. Darkness that grows from below is a dimensional collapse; a whole map that darkens is a loss of size.",
    ),
    "sweep-factors": (
        "Which of the images' factors dies first",
        "How well each recorded factor is read from the features of test images, by the regimes that differ in their augmentation "
        "alone, in the order of params.yaml. Dotted: the same network at random initialisation. What the augmentation varies is "
        "what the loss asks to forget; what it does not vary can die only beside it.",
    ),
    "sweep-spectra": (
        "Spectra by augmentation",
        "Log eigenvalues of the covariance at the end of training, one line for each of these regimes, on shared axes.",
    ),
    "takings": (
        "One student, taken in eight ways",
        "Log eigenvalues of the covariance of the student's outputs at the end, from clean images, on shared axes. First: as the "
        "founding notebook drew them, each spectrum divided by its own largest eigenvalue, which is how axes of its own make it "
        "look. Then one change after the other: shared axes, dropout off, one token position in place of all, one vector an image; "
        "the mean left in; the softmax's probabilities. Ink, dotted: random initialisation. What lies on the lower edge is as "
        "small or smaller.",
    ),
    "takings-teacher": ("Its teacher, taken in the same ways", "The same of the teacher's outputs."),
    "one-vector": (
        "One normalised vector an image",
        "Figure 2 of the DirectCLR paper (Jing et al. 2022) on these images: log eigenvalues of the covariance of one vector an "
        "image, divided by its length, of test images in eval mode; a contrastive network's representation and embedding side by "
        "side, then the token networks taken the same way, on shared axes. Ink, dotted: random initialisation. A drop, behind "
        "which a whole run of directions carries next to nothing, is a dimensional collapse.",
    ),
    "severities": (
        "Severity of each kind over training",
        "From .5 a kind holds. Each is drawn at the layer where it was worst at the end, of those that the verdict is taken "
        "from; kinds that never reached .1 are left out, and so are regimes where none did.",
    ),
    "entropies": (
        "Entropies of the softmax outputs",
        "The entropy of each output, averaged, and the entropy of the averaged output. Both at 0: one-hot, the same"
        " class for everything. Both at log K, dotted: uniform, the outputs say nothing. The gap between the two is"
        " what the outputs say about the image.",
    ),
    "token-shares": (
        "Where the tokens' variance comes from",
        "Two-way analysis of variance of all token outputs: what the image explains, what the position explains, and what "
        "only both together do, which is content in its place. Position near 1 is a token-position collapse; position and "
        "both together near 0 is token-smooth.",
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
    "variance-ratio": (
        "Between-image over within-view variance",
        "How far images lie apart, against how far the views of one image do, corrected for the number of views. "
        "Near 0, images cannot be told from augmentation noise. It depends on the augmentation, so it is read "
        "against the same regime's step 0. Values below 0.01 are drawn there.",
    ),
    "gradients": (
        "Gradient norms",
        "Root mean square norm of the gradient over the last ten steps or so, from the first step to the last, on shared "
        "axes: of each part of the network, and thin of every weight layer in it. Where they vanish with the loss at "
        "its least, nothing leads out of a collapse again. What counts is the course within a regime: the scale is the loss's. "
        "Values below 1e-8 are drawn there. The signal-to-noise of each layer stands beside its norm in gradients.csv.",
    ),
    "token-spectra": (
        "Spectra of all token outputs, student and teacher",
        "The founding notebook's figure: log eigenvalues of the covariance of all token outputs, here in eval mode,"
        " on shared axes, and with step 0 drawn in. A covariance ignores the mean: a collapse that moves all "
        "outputs together can leave this spectrum as it was.",
    ),
}


def caption(name: str) -> tuple[str, str]:
    """Title and caption of a chart; a study's second sweep has those of the first, and its number."""
    for sweep in ("sweep-factors", "sweep-spectra"):
        if name.startswith(f"{sweep}-"):
            title, text = CAPTIONS[sweep]
            return f"{title} ({name.removeprefix(f'{sweep}-')})", text
    return CAPTIONS[name]


# kind of preview -> what it shows
PREVIEWS = {
    "first": "The first ten images of epoch 0.",
    "strength": "Four images: clean, then as eight epochs draw them.",
}
