"""What the softmax says about the image: mutual information of image and prototype."""

from __future__ import annotations

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.registry import Spec, metric
from collapselab.collapse.statistics.softmax import entropies, jackknifed_marginal_entropy


@metric(
    "probabilities",
    spec=Spec(
        formula="h(mean p) - E h(p), nats, at least 0; p averaged over an image's tokens, h(mean p) jackknifed and at most ln K",
        source="the discriminative clustering objective (Bridle et al. 1991); jackknife of an entropy (Zahl 1977, Ecology 58)",
        range="0 (all images say the same) to ln K; tokens' entropies (mean_entropy) don't enter",
        sees="one-hot, uniform, complete in probability space",
        blind_to="dimensional collapse of the logits; whether what is said is right",
        falls="down",
    ),
)
def mutual_information(evidence: Evidence) -> float | None:
    assert evidence.probabilities is not None
    p = evidence.probabilities
    return max(0.0, jackknifed_marginal_entropy(p) - float(entropies(p).mean()))
