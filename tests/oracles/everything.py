"""Random evidence that meets the needs of every metric, and the raw arrays behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.token_sums import TokenSums

Array = NDArray[Any]


def softmax(logits: Array) -> Array:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(p / p.sum(-1, keepdims=True))


def arrays(n: int = 120, d: int = 9, k: int = 7, seed: int = 0, dtype: Any = np.float64) -> dict[str, Any]:
    """Correlated features around a mean, five of them in each class; views, tokens and softmaxes that have to do with them.

    Arrays, but for gradients, which are of five weight layers.
    """
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((d, d)) * np.arange(1, d + 1) ** -0.5
    labels = rng.permutation(np.arange(n) % max(2, n // 5))
    sample = (rng.standard_normal((n, d)) + rng.standard_normal((labels.max() + 1, d))[labels]) @ mixing + 0.3
    token_entropies = rng.uniform(0, np.log(k) / 2, n)
    found = {
        "sample": sample,
        "views": sample[:, None] + rng.standard_normal((n, 3, d)) @ (0.4 * np.eye(d) + 0.1 * mixing),
        "raw_tokens": sample[:, None] + rng.standard_normal((1, 6, d)) + 0.7 * rng.standard_normal((n, 6, d)),
        "start": sample @ rng.standard_normal((d, d)) + rng.standard_normal((n, d)),
        "base": np.tanh(sample) @ rng.standard_normal((d, d + 3)),
        "prototypes": np.repeat(rng.standard_normal((k - 2, 8)), [3] + [1] * (k - 3), axis=0)
        + 0.02 * rng.standard_normal((k, 8)),
    }
    found = {name: value.astype(dtype) for name, value in found.items()}
    return found | {
        "labels": labels,
        "probabilities": softmax(2 * rng.standard_normal((n, k))),
        "teacher": softmax(4 * rng.standard_normal((n, k))),
        "entropies": token_entropies,
        "position_probabilities": softmax(0.5 * rng.standard_normal((6, k))),
        "gradient_norms": {f"body.{layer}": float(norm) for layer, norm in enumerate(rng.uniform(0, 2, 5))},
        "gradient_snrs": {f"body.{layer}": float(ratio) for layer, ratio in enumerate(rng.uniform(0, 9, 4), 1)},
    }


def evidence(found: dict[str, Any]) -> Evidence:
    rest = {name: value for name, value in found.items() if name != "raw_tokens"}
    tokens = TokenSums.of(found["raw_tokens"]) if "raw_tokens" in found else None
    return Evidence(**rest, tokens=tokens)
