"""The gradient flow of a linear network under a fixed X, which is what the theorems are about, and its invariants.

InfoNCE's own X changes with the embeddings through the softmax; `network.descend` follows that. Here X stands still, so that
solutions in closed form and conservation laws can be held to rounding or to the integrator's order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collapselab.toys.infonce import Float
from collapselab.toys.network import chain


def velocity(weights: Sequence[Float], x: Float) -> list[Float]:
    """dW_l/dt = (W_L ... W_l+1)^T (W_L ... W_1 X) (W_l-1 ... W_1)^T: lemma 2, and the chain rule."""
    dim = len(x)
    driven = chain(weights, dim) @ x
    return [
        chain(weights[place + 1 :], dim).T @ driven @ chain(weights[:place], dim).T for place in range(len(weights))
    ]


def integrate(weights: Sequence[Float], x: Float, time: float, steps: int) -> list[Float]:
    """The weights after `time`, by the classical Runge-Kutta method: its error falls with the fourth power of time / steps."""
    now, step = list(weights), time / steps
    for _ in range(steps):
        first = velocity(now, x)
        second = velocity(_ahead(now, first, step / 2), x)
        third = velocity(_ahead(now, second, step / 2), x)
        fourth = velocity(_ahead(now, third, step), x)
        mean = [(a + 2 * b + 2 * c + d) / 6 for a, b, c, d in zip(first, second, third, fourth, strict=True)]
        now = _ahead(now, mean, step)
    return now


def _ahead(weights: Sequence[Float], slopes: Sequence[Float], step: float) -> list[Float]:
    return [weight + step * slope for weight, slope in zip(weights, slopes, strict=True)]


def one_layer(weight: Float, x: Float, time: float) -> Float:
    """W(t) = W(0) exp(X t) for a symmetric X: a direction of a negative eigenvalue vanishes, others stay or grow (theorem 1)."""
    values, vectors = np.linalg.eigh(x)
    return np.asarray((weight @ vectors * np.exp(values * time)) @ vectors.T)


def imbalance(first: Float, second: Float) -> Float:
    """W_1 W_1^T - W_2^T W_2 of adjacent layers, conserved by the flow under any X, moving or not (proof of theorem 2).

    Where the layers are aligned its eigenvalues are s1^2 - s2^2, one a direction.
    """
    return first @ first.T - second.T @ second


def alignment(first: Float, second: Float) -> Float:
    """|V_2^T U_1| of W_2 = U_2 S_2 V_2^T and W_1 = U_1 S_1 V_1^T (theorem 2): the identity where the layers are aligned.

    Absolute values, since the sign of a pair of singular vectors is nobody's choice. With D the imbalance, entry (j, i) times
    |s_1i^2 - s_2j^2| is |v_j^T D u_i|: layers align as their squared singular values come apart by more than D is large.
    """
    return np.asarray(np.abs(np.linalg.svd(second)[2] @ np.linalg.svd(first)[0]))


def shared(aligned: Float, count: int) -> float:
    """How much of the span of W_1's first `count` u lies in the span of W_2's first v, from |V_2^T U_1|: 1 if they are one span.

    It asks nothing of the singular vectors inside, which nearly equal singular values leave open.
    """
    return float((aligned[:count, :count] ** 2).sum() / count)


def rates(first: Float, second: Float, driving: Float) -> tuple[Float, Float]:
    """s1' = s1 s2^2 (v^T X v) and s2' = s2 s1^2 (v^T X v) of aligned layers (theorem 3).

    Args:
        first, second: singular values of W_1 and W_2, [d].
        driving: v^T X v for each right singular vector v of W_1, [d].
    """
    return first * second**2 * driving, second * first**2 * driving
