"""Weights and images in: the features that the network itself gives, and messages for what doesn't fit."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.diagnose.conftest import RNG, Run
from tests.optional import needs

from collapselab.backbones import build, pooled
from collapselab.config.training import ResNet, ViT
from collapselab.data.augment import Normalisation, clean
from collapselab.data.images import read_images
from collapselab.diagnose.embed import AUGMENTATION, embed
from collapselab.files import save_arrays

RESNET = ResNet(architecture="resnet", widths=[4, 8], blocks=[1, 1], stem_stride=2)
VIT = ViT(architecture="vit", patch=8, width=16, depth=1, heads=2, mlp=16)
RESNET_NAME = "{architecture: resnet, widths: [4, 8], blocks: [1, 1], stem_stride: 2}"
VIT_NAME = "{architecture: vit, patch: 8, width: 16, depth: 1, heads: 2, mlp: 16}"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of networks this small only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, name in enumerate("ab"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(30):
            pixels = RNG([place, number]).integers(0, 256, (6, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR).save(
                tmp_path / "images" / name / f"{number}.png"
            )
    return tmp_path / "images"


def save(path: Path, module: torch.nn.Module, prefix: str = "backbone.") -> Path:
    """As training saves a method's weights: with a head beside the backbone."""
    state = {prefix + name: value.numpy() for name, value in module.state_dict().items()}
    save_arrays(path, state | {"projector.0.weight": np.zeros((2, 2))}, {"method": "simsiam"})
    return path


def test_the_features_are_those_of_the_network(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    module = build(RESNET, 32).eval()
    weights = save(tmp_path / "run" / "weights.safetensors", module)
    normalisation = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]}
    config = {"normalisation": normalisation, "augmentation": {"view": AUGMENTATION.model_dump(mode="json")}}
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    subject = embed(weights, RESNET_NAME, folder)
    evidence = subject.snapshot.layers["representation"]
    files = sorted(folder.glob("*/*.png"))
    images = torch.from_numpy(read_images(files, 32))
    with torch.no_grad():
        expected = module(clean(images, Normalisation.of(normalisation["mean"], normalisation["std"]))).numpy()
    order = np.lexsort(expected.T)
    assert np.allclose(evidence.sample[np.lexsort(evidence.sample.T)], expected[order], atol=1e-5)
    assert evidence.views is not None and evidence.views.shape == (60, 4, 8)
    assert evidence.labels is not None and np.bincount(evidence.labels).tolist() == [30, 30]
    assert subject.start is not None and "the run's own augmentation" in subject.notes[0]


def test_a_resnet_through_the_command(run: Run, folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    module = build(RESNET, 32)
    with torch.no_grad():
        for name, value in module.named_parameters():  # every image the same: the last batch norms give their bias only
            if (
                name.startswith("blocks.1") and "bn" in name and name.endswith("weight")
            ) or "shortcut.1.weight" in name:
                value.mul_(1e-5)
            elif name.startswith("blocks.1") and name.endswith("bias"):
                value.fill_(1.0)
    weights = save(tmp_path / "weights.safetensors", module)
    found = run("diagnose", "--weights", weights, "--backbone", RESNET_NAME, "--data", folder, "--json").json
    assert "complete" in found["verdict"] and found["verdicts"].keys() == {"representation"}
    assert (found["n"], found["d"]) == (60, 8) and not {"complete", "norm", "nuisance"} & set(found["undetermined"])
    assert "default augmentation" in found["warnings"][0]
    few = run(
        "diagnose", "--weights", weights, "--backbone", RESNET_NAME, "--data", folder, "--images", 25, "--json"
    ).json
    assert few["n"] == 25 and "25 of the 60 images" in few["warnings"][0]


def test_a_vit_has_tokens_and_a_teacher(run: Run, folder: Path, tmp_path: Path) -> None:
    student, teacher = build(VIT, 32), build(VIT, 32)
    state = {f"student.0.{name}": value.numpy() for name, value in student.state_dict().items()}
    state |= {f"teacher.0.{name}": value.numpy() for name, value in teacher.state_dict().items()}
    save_arrays(tmp_path / "w.safetensors", state)
    call = ("diagnose", "--weights", tmp_path / "w.safetensors", "--backbone", VIT_NAME, "--data", folder)
    found = run(*call, "--json").json
    assert list(found["verdicts"]) == ["student.representation", "teacher.representation"]
    assert "token-position" in found["kinds"] and "token-smooth" in found["kinds"]
    chosen = run(*call, "--layer", "teacher.representation", "--json").json
    assert list(chosen["verdicts"]) == ["teacher.representation"]
    with torch.no_grad():
        size = pooled(teacher.eval()(torch.zeros(2, 3, 32, 32))).shape[1]
    assert chosen["d"] == size
    assert "positions are those of images of 32 pixels" in run(*call, "--size", 64).err


def test_what_does_not_fit_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    weights = save(tmp_path / "w.safetensors", build(RESNET, 32))
    (tmp_path / "empty").mkdir()
    (tmp_path / "w.pt").write_bytes(b"\x80")

    def message(weights: Path, backbone: str, data: Path, *more: str) -> str:
        result = run("diagnose", "--weights", weights, "--backbone", backbone, "--data", data, *more)
        assert result.code == 2 and result.out == "" and "Traceback" not in result.err
        return result.err

    assert "size mismatch for" in message(weights, RESNET_NAME.replace("[4, 8]", "[4, 6]"), folder)
    assert "no such backbone" in message(weights, VIT_NAME, folder)
    assert "unknown key" in message(weights, RESNET_NAME.replace("widths", "wdiths"), folder)
    assert "not in `backbones` of params.yaml; did you mean `small-resnet`" in message(weights, "smal-resnet", folder)
    assert "empty holds no images" in message(weights, RESNET_NAME, tmp_path / "empty")
    assert "no such folder" in message(weights, RESNET_NAME, tmp_path / "absent")
    assert "never loaded" in message(tmp_path / "w.pt", RESNET_NAME, folder)
    assert "did you mean `representation`" in message(weights, RESNET_NAME, folder, "--layer", "representatio")
    (folder / "a" / "broken.png").write_bytes(b"x")
    assert "broken.png cannot be read" in message(weights, RESNET_NAME, folder)
    assert "also needs --backbone and --data" in run("diagnose", "--weights", weights).err
    assert "leave out" in run("diagnose", "f.npy", "--data", folder).err


def test_without_a_repository_a_name_is_no_backbone(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = save(tmp_path / "w.safetensors", build(RESNET, 32))
    monkeypatch.chdir(tmp_path)
    result = run("diagnose", "--weights", weights, "--backbone", "small-resnet", "--data", folder)
    assert result.code == 2 and "there is none here" in result.err
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_text("regimes: [")
    result = run("diagnose", "--weights", weights, "--backbone", "small-resnet", "--data", folder)
    assert result.code == 2 and "params.yaml is not valid YAML" in result.err
    assert run("diagnose", "--weights", weights, "--backbone", RESNET_NAME, "--data", folder).code == 0


def test_timm_that_is_missing(run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = save(tmp_path / "w.safetensors", build(RESNET, 32))
    monkeypatch.setitem(sys.modules, "timm", None)
    result = run("diagnose", "--weights", weights, "--backbone", "timm:resnet18", "--data", folder)
    assert result.code == 2 and "pip install timm" in result.err


@needs("timm")
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_timm(run: Run, folder: Path, tmp_path: Path, name: str) -> None:
    import timm

    model = timm.create_model(name, pretrained=False)  # with its classifier, which is left out
    save_arrays(tmp_path / "w.safetensors", {key: value.numpy() for key, value in model.state_dict().items()})
    call = ("diagnose", "--weights", tmp_path / "w.safetensors", "--backbone", f"timm:{name}", "--data", folder)
    size = ("--size", "64")
    if name.startswith("vit"):  # its positions are those of 224 pixels
        assert "size mismatch for pos_embed" in run(*call, *size).err
        size = ()
    found = run(*call, *size, "--images", 30, "--json").json
    assert found["d"] == model.num_features and ("token-smooth" in found["kinds"]) == name.startswith("vit")
    assert "did you mean" in run(*call[:-3], "timm:resnte18", *call[-2:]).err
