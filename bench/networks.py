"""Networks as calibration cases: trained ones from the runs of studies on disk, untrained and small foreign ones made here.

What is expected of a trained network follows from what was done to it (which guard was removed, what the loss acts on), not
from what is found in it; a kind that could be argued for either way is left open, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from bench.families import Array, Drawn
from bench.families.shapes import single
from sklearn.exceptions import ConvergenceWarning

from collapselab.collapse.evidence import Evidence
from collapselab.collapse.kind import KINDS
from collapselab.collapse.snapshot import Snapshot, read_snapshot
from collapselab.files import load_arrays

STUDIES = ("quick", "cifar10")
SQUEEZE = "untrained ReLU networks squeeze images onto few directions before anything is learnt"
POSITION = "position embeddings are drawn, and dominate tokens before anything is learnt"
SMALL_LOGITS = "a head with small logits says nothing yet"
AUGMENTED = "untrained features follow the augmentation about as much as the image (.2 to 1.2)"
BELOW = "no loss keeps or collapses the layer below directly; its embedding collapsed"
JING = "healthy contrastive embeddings lose directions (Jing et al., figure 2)"
SHORTCUT = "a token loss that position can satisfy, 62 steps on a small ViT that learnt nothing k-NN sees"
CLASSES = "neural collapse on the images that were trained on: harmless, and not far away after some epochs"
NO_VIEWS = "features of whole splits hold no views, by which it would be judged"


@dataclass(frozen=True)
class Case:
    """A layer, and what is expected there; every kind that neither holds nor is open must not be named."""

    name: str
    seed: int
    drawn: Drawn
    holds: tuple[str, ...] = ()
    open: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """What holds or stays open where all three patterns fit.

    Moments: `start` (alone), `start-start` (against itself), `other-start` (against another seed's), `on-the-way` and `end`
    (against the start), `train` (whole training split, against the start).
    """

    regime: str
    layer: str
    moment: str
    holds: tuple[str, ...] = ()
    open: Mapping[str, str] = field(default_factory=dict)


def _all(reason: str) -> dict[str, str]:
    return dict.fromkeys(KINDS, reason)


LEFT = dict.fromkeys(("norm", "dimensional", "cluster", "local", "nuisance"), "what is left of the features")
UNDER = dict.fromkeys(("complete", "dimensional", "nuisance", "norm"), BELOW)
AT_START = {"dimensional": SQUEEZE, "token-position": POSITION, "uniform": SMALL_LOGITS, "nuisance": AUGMENTED}
ONE_LOGIT = {
    "dimensional": "one logit outgrows all others",
    "complete": "the softmax is one vector; the logits need not be",
    "token-position": SHORTCUT,
    "prototype": "one prototype for all is one-hot",
}
MATCHED = "the teacher's own entropy is within .3 % of ln K: matching it is no collapse, and says nothing"

RULES: tuple[Rule, ...] = (
    Rule("*", "*", "start", open=AT_START),
    Rule("sim*", "embedding", "[eo]n*", open={"dimensional": JING}),
    Rule("vicreg", "embedding", "[eo]n*", open={"dimensional": JING}),
    Rule("sim*", "embedding", "train", open={"dimensional": JING}),
    Rule("vicreg", "embedding", "train", open={"dimensional": JING}),
    Rule("simsiam-no-stop-gradient", "embedding", "end", ("complete",), LEFT),
    Rule("vicreg-no-variance", "embedding", "end", ("complete",), LEFT),
    Rule("simsiam-no-stop-gradient", "representation", "end", open=UNDER),
    Rule("vicreg-no-variance", "representation", "end", open=UNDER),
    Rule("simsiam-no-stop-gradient", "*", "train", open=_all(NO_VIEWS)),
    Rule("vicreg-no-variance", "*", "train", open=_all(NO_VIEWS)),
    Rule("notebook-both", "*.logits", "end", ("one-hot",), ONE_LOGIT),
    Rule("notebook-both", "*.representation", "end", open=UNDER | {"token-position": SHORTCUT}),
    Rule("notebook-both", "*", "train", open=_all(NO_VIEWS)),
    Rule("notebook-*", "*", "end", open={"token-position": SHORTCUT}),
    Rule("notebook-*", "*.logits", "end", open={"uniform": MATCHED}),
    Rule("dino-tokens", "*", "end", open={"token-position": SHORTCUT}),
    Rule("supervised", "*", "train", open={"cluster": CLASSES, "dimensional": CLASSES}),
)


def expected(regime: str, layer: str, moment: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """(kinds that hold, open kinds with their reasons), of all rules that fit."""
    holds: tuple[str, ...] = ()
    reasons: dict[str, str] = {}
    for rule in RULES:
        if fnmatchcase(regime, rule.regime) and fnmatchcase(layer, rule.layer) and fnmatchcase(moment, rule.moment):
            holds += rule.holds
            reasons |= rule.open
    return holds, {kind: reason for kind, reason in reasons.items() if kind not in holds}


# Regimes whose every snapshot must look healthy against their start.
STEADY = ("simclr", "vicreg", "supervised")


def trained(roots: Sequence[Path]) -> Iterator[Case]:
    """Every cell of the known studies under the roots (folders that hold runs/<study>/pretrain)."""
    for root in roots:
        for study in STUDIES:
            for regime in sorted((root / "runs" / study / "pretrain").glob("*")):
                cells = sorted(regime.glob("seed-*"))
                starts = {cell: _snapshots(cell)[0] for cell in cells}
                for cell in cells:
                    others = [start for other, start in starts.items() if other != cell]
                    yield from _of_cell(study, regime.name, cell, starts[cell], others)


def _snapshots(cell: Path) -> list[Snapshot]:
    return [read_snapshot(path) for path in sorted((cell / "snapshots").glob("step-*.safetensors"))]


def _of_cell(study: str, regime: str, cell: Path, start: Snapshot, others: list[Snapshot]) -> Iterator[Case]:
    seed = int(cell.name.removeprefix("seed-"))
    snapshots = _snapshots(cell)

    def case(moment: str, layer: str, now: Evidence, before: Evidence | None, step: int = 0) -> Case:
        holds, reasons = expected(regime, layer, moment)
        return Case(f"{study} {regime}, {layer}, {moment}", seed, Drawn(now, before, {"step": step}), holds, reasons)

    for layer, evidence in start.layers.items():
        yield case("start", layer, evidence, None)
        yield case("start-start", layer, evidence, evidence)
        for other in others[:1]:
            yield case("other-start", layer, evidence, other.layers[layer])
    for snapshot in snapshots[1:-1] if regime in STEADY else ():
        for layer, evidence in snapshot.layers.items():
            yield case("on-the-way", layer, evidence, start.layers[layer], snapshot.step)
    for layer, evidence in snapshots[-1].layers.items():
        yield case("end", layer, evidence, start.layers[layer], snapshots[-1].step)
    final, initial = cell / "features-final.safetensors", cell / "features-initial.safetensors"
    if final.exists() and initial.exists():
        now, before = load_arrays(final), load_arrays(initial)
        for key in sorted(now):
            if key.startswith("train/") and key != "train/labels":
                evidence = Evidence(now[key], labels=now["train/labels"])
                yield case("train", key.removeprefix("train/"), evidence, Evidence(before[key]))


# Networks of other libraries, on scikit-learn's digits.


def foreign(seeds: Sequence[int]) -> Iterator[Case]:
    """scikit-learn: a classifier trained on half of the digits (hidden layers, both halves), random features, factorisations."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import NMF
    from sklearn.kernel_approximation import Nystroem, RBFSampler
    from sklearn.neural_network import MLPClassifier

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(images))
        train, test = order[:900], order[900:]
        network = MLPClassifier((256, 128), max_iter=20, random_state=seed, batch_size=64, learning_rate_init=2e-3)
        with _quiet():
            network.fit(images[train], labels[train])
        for split, rows in (("train", train), ("test", test)):
            reasons = {"cluster": CLASSES, "dimensional": CLASSES} if split == "train" else {}
            for layer, hidden in enumerate(_hidden(network, images[rows]), 1):
                evidence = Evidence(single(hidden), labels=labels[rows])
                yield Case(f"scikit-learn MLP on digits, hidden {layer}, {split}", seed, Drawn(evidence), open=reasons)
            p = network.predict_proba(images[rows])
            evidence = Evidence(single(np.log(p + 1e-12)), labels=labels[rows], probabilities=single(p))
            yield Case(f"scikit-learn MLP on digits, softmax, {split}", seed, Drawn(evidence), open=reasons)
        with _quiet():
            for name, model in (
                ("random Fourier features", RBFSampler(gamma=0.1, n_components=256, random_state=seed)),
                ("Nystroem features", Nystroem(gamma=0.1, n_components=256, random_state=seed)),
                ("NMF codes", NMF(32, random_state=seed, max_iter=100)),
            ):
                features = model.fit_transform(images[test])
                yield Case(f"{name} of digits", seed, Drawn(Evidence(single(features), labels=labels[test])))


def _hidden(network: object, x: Array) -> list[Array]:
    found = []
    for weights, bias in list(zip(network.coefs_, network.intercepts_, strict=True))[:-1]:  # type: ignore[attr-defined]
        x = np.maximum(x @ weights + bias, 0)
        found.append(x)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Short training on purpose: no word about convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def untrained(seeds: Sequence[int]) -> Iterator[Case]:
    """torchvision's architectures at random initialisation, batch norm as drawn and calibrated, on coloured digits of 64 pixels."""
    import torch
    import torchvision
    from sklearn.datasets import load_digits
    from torch import nn

    digits = torch.tensor(load_digits().images[:300] / 16, dtype=torch.float32)[:, None]
    reasons = {"dimensional": SQUEEZE, "nuisance": AUGMENTED, "uniform": SMALL_LOGITS, "token-position": POSITION}
    for seed in seeds:
        torch.manual_seed(seed)
        images = nn.functional.interpolate(digits, size=64, mode="bilinear") * torch.rand(300, 3, 1, 1)
        images = images + 0.05 * torch.randn(images.shape) + 0.3 * torch.rand(300, 3, 1, 1) - 0.5
        made = {
            "resnet18": torchvision.models.resnet18(),
            "mobilenet_v3_small": torchvision.models.mobilenet_v3_small(),
            "convnext (small)": torchvision.models.ConvNeXt([
                torchvision.models.convnext.CNBlockConfig(48, 96, 2), torchvision.models.convnext.CNBlockConfig(96, None, 2)]),
            "vit (small)": torchvision.models.VisionTransformer(64, 8, 4, 4, 128, 256),
        }  # fmt: skip
        for name, network in made.items():
            for calibrated in (False, True) if "net" in name and "conv" not in name else (False,):
                seen: list[Array] = []
                last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
                hook = last.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].numpy()))
                with torch.no_grad():
                    if calibrated:
                        network.train()
                        network(images)
                        seen.clear()
                    logits = network.eval()(images)
                hook.remove()
                how = ", batch norm calibrated" if calibrated else ""
                p = logits.double().softmax(-1).numpy()
                yield Case(f"torchvision {name}{how}, representation", seed, Drawn(Evidence(seen[0])), open=reasons)
                logit = Evidence(logits.numpy(), probabilities=single(p))
                zero = (
                    {"complete": "torchvision draws this head as zeros: the logits are constant"}
                    if "vit" in name
                    else {}
                )
                yield Case(f"torchvision {name}{how}, logits", seed, Drawn(logit), open=reasons | zero)
