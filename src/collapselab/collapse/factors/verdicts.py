"""Which recorded factors of the images a layer kept, lost, or was made invariant to by its augmentation.

Everything is compared with the same network at initialisation, which codes many factors already, and with raw pixels. A fall
of what the regime's augmentation varies is what the loss asks for: invariance. It is none where the layer lost the class as
well, or learnt nothing in exchange: a collapsed layer is invariant to everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collapselab.collapse.factors.decoding import CLASS, Decoded, Targets, decode, spread
from collapselab.randomness import generator

DRAWS = 200  # of originals, behind an interval
# What each augmentation varies.
VARIES = {
    "crop": ("x", "y", "size"),
    "flip": ("x", "angle"),
    "rotate": ("angle",),
    "brightness": ("brightness",),
    "contrast": ("brightness",),
    "saturation": ("stroke_hue", "background_hue"),
    "hue": ("stroke_hue", "background_hue"),
    "grayscale": ("stroke_hue", "background_hue"),
}
READABLE = 0.1  # R^2 from which a factor is there
# A factor fell where the 90 % interval of its change lies below 0 and less than this much of the initial R^2 is left.
LEFT = 0.7


def varied(augmentation: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """factor -> which augmentations vary it, in any branch of a regime (`augmentation` of its config.json).

    A random crop moves and scales, a rotation turns, a flip mirrors place and slant; brightness and contrast change a
    stroke's grey value; hue, saturation and grey change colours. Erasing hides but varies no factor.
    """
    found: dict[str, list[str]] = {}
    for branch in augmentation.values():
        jitter = branch.get("jitter") or {}
        strength = {name: branch.get(name) for name in ("crop", "flip", "rotate", "grayscale")}
        if jitter.get("probability", 1.0) > 0:
            strength |= {name: jitter.get(name) for name in ("brightness", "contrast", "saturation", "hue")}
        for name, factors in VARIES.items():
            for factor in factors if strength.get(name) else ():
                found.setdefault(factor, [])
                found[factor] += [name] if name not in found[factor] else []
    return found


def of_features(
    initial: Mapping[str, NDArray[Any]],
    final: Mapping[str, NDArray[Any]],
    targets: Targets,
    augmentation: Mapping[str, Mapping[str, Any]],
    pixels: Mapping[str, Decoded] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """`judge` of every layer of a cell's features-initial and features-final, keys `split/layer`."""
    names = [key.removeprefix("train/") for key in final if key.startswith("train/") and key != "train/labels"]
    layers = {
        name: (
            decode(initial[f"train/{name}"], initial[f"test/{name}"], targets),
            decode(final[f"train/{name}"], final[f"test/{name}"], targets),
        )
        for name in names
    }
    return judge(layers, targets, augmentation, pixels)


def judge(
    layers: Mapping[str, tuple[Mapping[str, Decoded], Mapping[str, Decoded]]],
    targets: Targets,
    augmentation: Mapping[str, Mapping[str, Any]],
    pixels: Mapping[str, Decoded] | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """layer -> factor -> what became of it, ready for JSON.

    Args:
        layers: layer -> what was decoded from it (at initialisation, at the end).
        augmentation: of the regime, branch -> what it does.
        pixels: the same from raw pixels.

    Each entry: `verdict` ("kept", "lost", "made invariant", "never there"), `r2`, `initial`, `change` with its 90 %
    `interval` (bootstrap over originals), `pixels`, `by` (the decoder), `varied_by`, and `words`.
    """
    moved = varied(augmentation)
    return {layer: _layer(initial, final, targets, moved, pixels) for layer, (initial, final) in layers.items()}


def _layer(
    initial: Mapping[str, Decoded],
    final: Mapping[str, Decoded],
    targets: Targets,
    moved: Mapping[str, list[str]],
    pixels: Mapping[str, Decoded] | None,
) -> dict[str, dict[str, Any]]:
    changes = {name: _change(initial[name], final[name], targets, name) for name in targets.columns}
    alive = _alive(final, changes)
    found = {}
    for name, change in changes.items():
        before, after, by = initial[name].r2, final[name].r2, moved.get(name, [])
        if change.fell:
            verdict = "made invariant" if by and alive and name != CLASS else "lost"
        else:
            verdict = "kept" if after >= READABLE else "never there"
        found[name] = {
            "verdict": verdict,
            "r2": round(after, 4),
            "initial": round(before, 4),
            "change": round(after - before, 4),
            "interval": [round(change.low, 4), round(change.high, 4)],
            "pixels": round(pixels[name].r2, 4) if pixels else None,
            "by": final[name].by,
            "varied_by": by,
            "words": _words(name, verdict, before, after, by),
        }
    return found


@dataclass(frozen=True)
class _Change:
    """The 90 % interval of how decodability changed, and whether that is a fall or a rise."""

    low: float
    high: float
    fell: bool
    rose: bool


def _change(initial: Decoded, final: Decoded, targets: Targets, name: str) -> _Change:
    """Bootstrap over originals, both moments drawn alike."""
    groups, ids = np.unique(targets.test_groups, return_inverse=True)
    parts = (initial.errors, final.errors, spread(targets.test, targets.columns[name]))
    draws = generator(0, "factors/draws").multinomial(len(groups), np.full(len(groups), 1 / len(groups)), DRAWS)
    before, after, total = (draws @ np.bincount(ids, weights=part, minlength=len(groups)) for part in parts)
    low, high = (float(edge) for edge in np.quantile((before - after) / total, [0.05, 0.95]))
    fell = initial.r2 >= READABLE and high < 0 and final.r2 < LEFT * initial.r2
    return _Change(low, high, fell, rose=final.r2 >= READABLE and low > 0)


def _alive(final: Mapping[str, Decoded], changes: Mapping[str, _Change]) -> bool:
    """Whether the layer tells images apart as well as before: its class did not fall, and is there or something else rose."""
    if CLASS not in changes:
        return any(change.rose for change in changes.values())
    return not changes[CLASS].fell and (final[CLASS].r2 >= READABLE or any(c.rose for c in changes.values()))


def _words(name: str, verdict: str, before: float, after: float, by: list[str]) -> str:
    told = f"{name}: {verdict}, R2 {max(0.0, after):.2f} against {max(0.0, before):.2f} at initialisation"
    how = f"{', '.join(by)} {'varies' if len(by) == 1 else 'vary'} it"
    if verdict == "made invariant":
        return f"{told}; {how}"
    if verdict == "lost":
        return (
            f"{told}; {how}, but the layer lost the class too or learnt nothing" if by else f"{told}; nothing varies it"
        )
    return f"{told}, though {how}" if verdict == "kept" and by else told
