"""A study's outputs as the other stages write them, small and made up: three regimes, two seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from collapselab.collapse.timing.timeline import ALARM_HEADER
from collapselab.files import save_arrays, write_csv, write_json, write_text

STEPS = [0, 1, 2, 5, 10, 20, 40]
REGIMES: dict[str, dict[str, Any]] = {
    "tokens": {
        "method": "token_distillation", "backbone": "vit-small", "layers": ("student.logits", "teacher.logits"),
        "representation": "student.representation", "off": ["centering"],
        "verdict": ["one-hot"], "knn": (0.2, 0.19), "supervised": False,
    },
    "simclr": {
        "method": "simclr", "backbone": "resnet-small", "layers": ("embedding",), "representation": "representation",
        "off": [], "verdict": [], "knn": (0.25, 0.7), "supervised": False,
    },
    "supervised": {
        "method": "supervised", "backbone": "resnet-small", "layers": ("logits",), "representation": "representation",
        "off": [], "verdict": [], "knn": (0.25, 0.9), "supervised": True,
    },
}  # fmt: skip


@pytest.fixture
def params() -> dict[str, Any]:
    return {
        "study": "fake",
        "seeds": [0, 1],
        "data": {"source": "digits"},
        "evaluation": {"linear_probe": {"inverse_regularisation": [0.1, 1.0]}},
        "regimes": {
            name: {"method": entry["method"], "backbone": entry["backbone"]} for name, entry in REGIMES.items()
        },
    }


@pytest.fixture
def tree(tmp_path: Path, params: dict[str, Any]) -> Path:
    """A repository's root in which the report can be built."""
    make_tree(tmp_path, params)
    return tmp_path


def make_tree(root: Path, params: dict[str, Any], classes: tuple[str, ...] = ("0", "1", "2")) -> None:
    manifest = {
        "source": "digits", "origin": "made up", "classes": list(classes), "size": 32,
        "counts": {"train": 4000, "validation": 512, "test": 1000},
        "sha256": {}, "mean": [0.5] * 3, "std": [0.2] * 3, "schema": 1,
    }  # fmt: skip
    write_json(root / "data" / "digits" / "manifest.json", manifest)
    write_json(root / "docs" / "explanations.json", [])
    write_json(root / "docs" / "expectations.json", [])
    folder = root / "runs" / "fake"
    knn: dict[str, Any] = {"schema": 1, "k": 20, "temperature": 0.1, "pixels": {"knn": 0.56}, "regimes": {}}
    linear: dict[str, Any] = {"schema": 1, "pixels": {"linear": 0.6}, "regimes": {}}
    diagnosis: dict[str, Any] = {
        "schema": 2,
        "pixels": {"metrics": {"normalised_std": 0.01}, "factors": {"angle": 0.2}},
        "regimes": {},
    }
    right: dict[str, Any] = {"original": np.arange(50) // 2, "pixels": _right(0.56)}
    rows: list[tuple[Any, ...]] = []
    gradients: list[tuple[Any, ...]] = []
    severities: list[tuple[Any, ...]] = []
    arrays: dict[str, Any] = {}
    for name, entry in REGIMES.items():
        for seed in params["seeds"]:
            _cell(folder / "pretrain" / name / f"seed-{seed}", name, seed, entry)
            knn["regimes"].setdefault(name, []).append(_knn(seed, entry))
            linear["regimes"].setdefault(name, []).append({"seed": seed, "layers": _knn(seed, entry)["layers"]})
            right |= _answers(name, seed, entry)
            diagnosis["regimes"].setdefault(name, []).append(_diagnosis(seed, entry))
            rows += _metrics(name, seed, entry)
            gradients += _gradients(name, seed)
            severities += _severities(name, seed, entry)
            arrays |= _spectra(name, seed, entry)
    write_json(folder / "knn.json", knn)
    write_json(folder / "linear_probe.json", linear)
    for score in ("knn", "linear_probe"):
        save_arrays(folder / "answers" / f"{score}.safetensors", right)
    write_json(folder / "collapse" / "diagnosis.json", diagnosis)
    write_csv(folder / "collapse" / "metrics.csv", ("regime", "seed", "step", "layer", "metric", "value"), rows)
    write_csv(folder / "collapse" / "gradients.csv", ("regime", "seed", "step", "layer", "norm", "snr"), gradients)
    write_csv(
        folder / "collapse" / "severities.csv", ("regime", "seed", "step", "layer", "kind", "severity"), severities
    )
    write_csv(folder / "collapse" / "alarms.csv", ALARM_HEADER, [])
    save_arrays(folder / "collapse" / "spectra.safetensors", arrays)
    _preview(folder / "preview")
    _pipeline(root, params)


def _cell(out: Path, name: str, seed: int, entry: dict[str, Any]) -> None:
    architecture = entry["backbone"].split("-")[0]
    config = {
        "study": "fake", "regime": name, "seed": seed, "steps": STEPS[-1], "device": "cpu", "threads": 1,
        "guards_off": entry["off"], "expected": {layer: ["one-hot"] for layer in entry["layers"]} if entry["off"] else None,
        "config": {"method": entry["method"], "backbone": entry["backbone"], "batch_size": 128},
        "backbone": {"architecture": architecture},
        "snapshots": {"bank": 300, "queries": 212},
        "representation": entry["representation"], "loss_layers": list(entry["layers"]),
        "supervised": entry["supervised"],
    }  # fmt: skip
    write_json(out / "config.json", config)
    terms = ["kl"] if entry["method"] == "token_distillation" else []
    history = [[step, 1, 0.1, 1 / step + seed, *(0.5 / step for _ in terms)] for step in range(1, STEPS[-1] + 1)]
    write_csv(out / "history.csv", ["step", "epoch", "learning_rate", "loss", *terms], history)


def layers_of(entry: dict[str, Any]) -> list[str]:
    return [entry["representation"], *entry["layers"]]


def _knn(seed: int, entry: dict[str, Any]) -> dict[str, Any]:
    initial, final = entry["knn"]
    curve = [{"step": step, "knn": initial + (final - initial) * place / 6} for place, step in enumerate(STEPS)]
    layers = {layer: {"initial": initial, "final": final + 0.02 * seed} for layer in layers_of(entry)}
    return {"seed": seed, "layers": layers, "curve": curve, "best": curve[-1], "k": {"table": 20, "curve": 9}}


def _right(share: float) -> Any:
    """50 test images, of which the first are answered rightly."""
    return (np.arange(50) < round(50 * share)).astype(np.uint8)


def _answers(name: str, seed: int, entry: dict[str, Any]) -> dict[str, Any]:
    initial, final = entry["knn"]
    shares = {"initial": initial, "final": final + 0.02 * seed}
    return {
        f"{name}/{seed}/{layer}/{when}": _right(share) for layer in layers_of(entry) for when, share in shares.items()
    }


def _diagnosis(seed: int, entry: dict[str, Any]) -> dict[str, Any]:
    verdicts = {layer: entry["verdict"] if layer in entry["layers"] else [] for layer in layers_of(entry)}
    sentence = "Both entropies are 0." if entry["verdict"] else "No collapse was found."
    finding = {
        "severity": 0.9,
        "interval": [0.8, 1.0],
        "evidence": "both entropies are 0",
        "remedy": "center the logits",
    }
    kinds = {layer: dict.fromkeys(found, finding) for layer, found in verdicts.items()}
    onset = {layer: {kind: {"step": 20, "after": 10} for kind in found} for layer, found in verdicts.items()}
    return {
        "seed": seed, "verdict": entry["verdict"], "verdicts": verdicts, "sentence": sentence, "kinds": kinds,
        "undetermined": {}, "warnings": [], "onset": onset, "twin": "", "fall": None, "fall_words": "no twin",
        "factors": {layer: {"angle": {"verdict": "kept", "r2": 0.4, "initial": 0.1}} for layer in verdicts},
    }  # fmt: skip


def _severities(name: str, seed: int, entry: dict[str, Any]) -> list[tuple[Any, ...]]:
    kind = entry["verdict"][0] if entry["verdict"] else "complete"
    worst = 0.9 if entry["verdict"] else 0.0
    return [
        (name, seed, step, layer, kind, worst * place / 6)
        for layer in entry["layers"]
        for place, step in enumerate(STEPS)
    ]


def _metrics(name: str, seed: int, entry: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = []
    for layer in layers_of(entry):
        softmax = {"mean_entropy": 1.0, "marginal_entropy": 1.5, "log_k": 2.079} if layer.endswith("logits") else {}
        for place, step in enumerate(STEPS):
            values = {
                "normalised_std": 0.3 / (1 + place) + 0.01 * seed, "inverse_sqrt_dim": 8**-0.5,
                "effective_rank": 6.0, "rank_ceiling": 8,
                "spectral_entropy_rank": 4.0, "log_trace": 0.1, "mean_share": 0.5, "variance_ratio": 2.0 - place / 4,
            } | softmax  # fmt: skip
            rows += [(name, seed, step, layer, metric, value) for metric, value in values.items()]
    return rows


def _gradients(name: str, seed: int) -> list[tuple[Any, ...]]:
    """Layers whose norms are 3 and 4 times 1 / step."""
    layers = {"backbone.stem": 3, "backbone.blocks.0": 4, "projector.0": 1 + seed}
    return [(name, seed, step, layer, size / step, "") for step in STEPS[1:] for layer, size in layers.items()]


def _spectra(name: str, seed: int, entry: dict[str, Any]) -> dict[str, Any]:
    spectrum = np.geomspace(1, 1e-3, 8) * np.linspace(1, 0.1, len(STEPS))[:, None]
    arrays = {f"{name}/{seed}/{layer}": spectrum for layer in layers_of(entry)}
    arrays[f"{name}/{seed}/steps"] = np.array(STEPS)
    if entry["method"] == "token_distillation":
        arrays |= {f"{name}/{seed}/{layer}@tokens": spectrum * 2 for layer in entry["layers"]}
    return arrays


def _preview(out: Path) -> None:
    out.mkdir()
    Image.new("RGB", (20, 10), "red").save(out / "first-notebook-student.png")
    grid = {"file": "first-notebook-student.png", "kind": "first", "title": "notebook: student", "branch": {},
            "seen_by": [{"regime": "tokens", "branch": "student"}]}  # fmt: skip
    write_json(out / "index.json", {"schema": 1, "study": "fake", "seed": 0, "grids": [grid]})


def _pipeline(root: Path, params: dict[str, Any]) -> None:
    """A dvc.yaml with a plain stage and a foreach, the code that they name, and the study's file."""
    for path in (
        "src/lab/report.py",
        "stages/report.py",
        *(f"src/lab/methods/{entry['method']}.py" for entry in REGIMES.values()),
    ):
        write_text(root / path, f"# {path}\n")
    write_text(
        root / "dvc.yaml",
        "stages:\n"
        "  pretrain:\n    foreach: ${regimes}\n    do:\n      cmd: train ${key}\n"
        "      deps: ['src/lab/methods/${item.method}.py', 'data/${data.source}']\n"
        "  report:\n    cmd: report\n    deps: [stages/report.py, src/lab/report.py, 'runs/${study}']\n",
    )
    write_json(root / "studies" / "fake.yaml", params)  # JSON is YAML
    write_json(root / "params.yaml", params)


@pytest.fixture
def remake(tmp_path: Path, params: dict[str, Any]) -> Callable[..., Path]:
    """Builds the tree with other facts."""

    def make(**facts: Any) -> Path:
        make_tree(tmp_path, params, **facts)
        return tmp_path

    return make
