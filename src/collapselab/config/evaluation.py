"""How features are judged."""

from __future__ import annotations

from pydantic import Field

from collapselab.config.base import Count, PositiveFloat, Strict


class Knn(Strict):
    """Weighted cosine k-NN (Wu et al. 2018; DINO's protocol)."""

    k: Count = Field(200, description="neighbours; capped below the size of the smallest class of the bank")
    temperature: PositiveFloat = Field(0.1, description="votes weigh exp(similarity / temperature)")


class LinearProbe(Strict):
    """Multinomial logistic regression on standardised frozen features."""

    inverse_regularisation: list[PositiveFloat] = Field(
        [0.01, 0.1, 1.0],
        min_length=1,
        description="candidates for scikit-learn's C, chosen on a held-out fifth of the training images",
    )
    max_iterations: Count = 200


class Evaluation(Strict):
    knn: Knn = Knn()
    linear_probe: LinearProbe = LinearProbe()
