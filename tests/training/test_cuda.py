"""What only a GPU can show: recorded steps are the steps themselves, draws are those of the CPU, half precision stays close."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from collapselab import cudagraphs
from collapselab.config.study import Study, load_study
from collapselab.config.training import Backbone, ViT
from collapselab.cudagraphs import WARM_UP, Replayed
from collapselab.data.augment import Normalisation, augment, width
from collapselab.data.dataset import Manifest, Split
from collapselab.training.cell import Cell, run_cell
from collapselab.training.checkpoints import Checkpoints

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

STUDIES = Path(__file__).parents[2] / "studies"


def regimes() -> dict[str, tuple[Study, str]]:
    """One regime of each method with its guards on."""
    found: dict[str, tuple[Study, str]] = {}
    for path in (STUDIES / "interventions.yaml", STUDIES / "quick.yaml"):
        study = load_study(path)
        for name, config in study.regimes.items():
            found.setdefault(config.method, (study, name))
    return found


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Convolutions in float32 as on a CPU, not in its shorter form."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def undropped(backbone: Backbone) -> Backbone:
    """Without dropout: a compiled step draws its own masks."""
    return backbone.model_copy(update={"dropout": 0.0}) if isinstance(backbone, ViT) else backbone


def trained(
    study: Study,
    regime: str,
    splits: dict[str, Split],
    manifest: Manifest,
    out: Path,
    *,
    device: str = "cuda",
    autocast: str | None = None,
    compiled: bool = False,
    **also: Any,
) -> dict[str, np.ndarray]:
    """The history's columns of ten steps; `also`: run_cell's own arguments."""
    snapshots = study.training.snapshots.model_copy(
        update={"bank": 30, "queries": 20, "view_images": 10, "views": 2, "tokens": None}
    )
    config = study.regimes[regime].model_copy(update={"epochs": 2, "batch_size": 32})
    study = study.model_copy(
        update={
            "training": study.training.model_copy(
                update={"snapshots": snapshots, "autocast": autocast, "compile": compiled}
            ),
            "regimes": {regime: config},
        }
    )
    run_cell(Cell(study, regime, 0, torch.device(device)), splits, manifest, out, **also)
    table = np.genfromtxt(out / "history.csv", delimiter=",", names=True)
    return {name: table[name] for name in table.dtype.names or ()}


@pytest.mark.parametrize("method", sorted(regimes()))
def test_replayed_steps_are_the_steps(
    method: str, splits: dict[str, Split], manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, regime = regimes()[method]
    replayed = trained(study, regime, splits, manifest, tmp_path / "replayed")
    monkeypatch.setattr(cudagraphs, "WARM_UP", 1000)
    plain = trained(study, regime, splits, manifest, tmp_path / "plain")
    assert replayed.keys() == plain.keys() and len(plain["step"]) == 10
    for name, values in plain.items():
        first = slice(WARM_UP + 2)  # two replays; then what rounding differs by grows from step to step
        np.testing.assert_allclose(replayed[name][first], values[first], rtol=2e-3, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(replayed[name], values, rtol=5e-2, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("method", sorted(regimes()))
def test_compiled_steps_are_the_steps(
    method: str, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    study, regime = regimes()[method]
    study = study.model_copy(update={"backbones": {name: undropped(one) for name, one in study.backbones.items()}})
    compiled = trained(study, regime, splits, manifest, tmp_path / "compiled", compiled=True)
    plain = trained(study, regime, splits, manifest, tmp_path / "plain")
    assert compiled.keys() == plain.keys() and len(plain["step"]) == 10
    for name, values in plain.items():
        # A pixel whose place lies between two others may be read from either.
        np.testing.assert_allclose(compiled[name][:3], values[:3], rtol=2e-2, atol=2e-3, err_msg=name)
        np.testing.assert_allclose(compiled[name], values, rtol=1e-1, atol=1e-2, err_msg=name)


@pytest.mark.parametrize("method", ["simsiam", "simclr", "vicreg", "supervised"])
def test_the_first_loss_is_the_cpus(method: str, splits: dict[str, Split], manifest: Manifest, tmp_path: Path) -> None:
    """The same weights, the same order and the same draws on both devices; dropout alone has draws of its own."""
    study, regime = regimes()[method]
    there = trained(study, regime, splits, manifest, tmp_path / "cuda")
    here = trained(study, regime, splits, manifest, tmp_path / "cpu", device="cpu")
    np.testing.assert_allclose(there["loss"][0], here["loss"][0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["simsiam", "simclr", "vicreg", "token_distillation", "byol"])
def test_bfloat16_stays_close(method: str, splits: dict[str, Split], manifest: Manifest, tmp_path: Path) -> None:
    study, regime = regimes()[method]
    half = trained(study, regime, splits, manifest, tmp_path / "half", autocast="bfloat16")
    full = trained(study, regime, splits, manifest, tmp_path / "full")
    np.testing.assert_allclose(half["loss"][0], full["loss"][0], rtol=2e-2, atol=2e-2)


def test_augmentation_is_the_cpus() -> None:
    study = load_study(STUDIES / "notebook.yaml")
    jittered = load_study(STUDIES / "cifar10-200.yaml").augmentations["two-crops"]["view"]
    images = torch.randint(0, 256, (500, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for branch in (study.augmentations["notebook"]["student"], jittered):
        table = torch.rand(500, width(branch), generator=torch.Generator().manual_seed(1))
        normalise = [Normalisation.of([0.5, 0.4, 0.3], [0.2, 0.3, 0.2], device) for device in ("cpu", "cuda")]
        here = augment(images, table, branch, normalise[0])
        there = augment(images.cuda(), table.cuda(), branch, normalise[1]).cpu()
        # A pixel whose place lies between two others may be read from either.
        assert float(((here - there).abs() > 1e-3).float().mean()) < 5e-3


@pytest.mark.parametrize("regime", ["simsiam", "distillation"])  # SGD and AdamW
def test_a_stopped_run_goes_on(
    regime: str, study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    whole = trained(study, regime, splits, manifest, tmp_path / "whole")
    said: list[str] = []

    class Stop(Exception):
        pass

    def stop(step: int, steps: int) -> None:
        if step == 7:
            raise Stop

    checkpoints = Checkpoints(tmp_path / "checkpoints")
    with pytest.raises(Stop):
        trained(study, regime, splits, manifest, tmp_path / "parts", checkpoints=checkpoints, advance=stop)
    checkpoints.settle()
    parts = trained(study, regime, splits, manifest, tmp_path / "parts", checkpoints=checkpoints, say=said.append)
    assert said[0] == "resumed at step 5 of 10"
    np.testing.assert_allclose(parts["loss"], whole["loss"], rtol=2e-3, atol=1e-4)


def test_replays_read_what_changes_in_place_and_return_copies() -> None:
    scale = torch.ones((), device="cuda")
    total = torch.zeros((), device="cuda")

    def function(x: torch.Tensor) -> dict[str, torch.Tensor]:
        total.add_(1)
        return {"y": x * scale, "noise": torch.rand_like(x)}

    replayed = Replayed(function)
    for call in range(WARM_UP + 4):
        scale.fill_(call)
        torch.manual_seed(call)
        found = replayed(torch.full((3,), 2.0, device="cuda"))
        assert found["y"].tolist() == [2.0 * call] * 3
        torch.manual_seed(call)
        assert torch.equal(found["noise"], torch.rand(3, device="cuda"))
        if call == WARM_UP:
            kept = found["y"]
    assert kept.tolist() == [2.0 * WARM_UP] * 3
    assert total == WARM_UP + 4
    with pytest.raises(ValueError, match="other shapes"):
        replayed(torch.ones(4, device="cuda"))
