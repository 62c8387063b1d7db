"""How features are judged."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from collapselab.config.base import Count, Fraction, PositiveFloat, Strict

NonNegative = Annotated[float, Field(ge=0)]


class Knn(Strict):
    """Weighted cosine k-NN (Wu et al. 2018; DINO's protocol)."""

    k: Count = Field(200, description="neighbours; capped below the size of the smallest class of the bank")
    temperature: PositiveFloat = Field(0.1, description="votes weigh exp(similarity / temperature)")


class SgdProbe(Strict):
    """The papers' linear classifier: SGD with momentum, its rate falling along half a cosine, epoch by epoch.

    SimSiam (arXiv 2011.10566, appendix A): 90 epochs, batch 256, momentum .9, no weight decay, rate 30, with SGD; batch 4096
    with LARS. MoCo (1911.05722, section 4.1): the same but for 100 epochs and two drops of the rate. SimCLR (2002.05709,
    appendix B.6): rate .1 x batch / 256.
    """

    base_learning_rate: list[PositiveFloat] = Field(
        [0.1, 1.0, 30.0],
        min_length=1,
        description="candidates, each times batch / 256, chosen on a held-out fifth of the training images; published: .1 "
        "(SimCLR), 30 (MoCo, SimSiam), on features that nobody standardised",
    )
    epochs: Count = Field(90, description="passes over the training features; published: 90 (SimSiam), 100 (MoCo)")
    batch_size: Count = Field(256, description="images a step, at most all; published: 256, or 4096 with LARS")
    momentum: Fraction = Field(0.9, description="share of the last step that a step keeps")
    weight_decay: NonNegative = Field(0.0, description="share of a weight taken off at each step, per unit of rate")


class LinearProbe(Strict):
    """Multinomial logistic regression on standardised frozen features."""

    solver: Literal["lbfgs", "sgd"] = Field(
        "lbfgs", description="lbfgs: the optimum, regularised; sgd: the papers' classifier, as `sgd` says"
    )
    inverse_regularisation: list[PositiveFloat] = Field(
        [0.01, 0.1, 1.0],
        min_length=1,
        description="lbfgs: candidates for scikit-learn's C, chosen on a held-out fifth of the training images",
    )
    max_iterations: Count = Field(200, description="lbfgs: at most")
    sgd: SgdProbe = SgdProbe()


class Evaluation(Strict):
    """What is asked of frozen features."""

    knn: Knn = Knn()
    linear_probe: LinearProbe = LinearProbe()
