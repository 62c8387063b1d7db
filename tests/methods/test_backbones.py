"""Backbones as methods see them, timm's models among them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from tests.methods.helpers import CONFIGS, RESNET, VIT, batch_for, method_of, regime
from tests.optional import needs

from collapselab.backbones import build, pooled, summary
from collapselab.config.study import load_study
from collapselab.config.training import ResNet, Timm
from collapselab.errors import UserError
from collapselab.methods import METHODS

TINY = Path(__file__).parents[1] / "tiny.yaml"


def test_a_cifar_resnet_18_keeps_its_resolution_until_the_second_stage() -> None:
    network = build(ResNet(architecture="resnet", widths=[64, 128, 256, 512], blocks=[2, 2, 2, 2]), 32)
    sizes: list[int] = []
    for block in network.blocks:  # type: ignore[union-attr]
        block.register_forward_hook(lambda module, given, out: sizes.append(out.shape[-1]))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 512)
    assert sizes == [32, 32, 16, 16, 8, 8, 4, 4]


def test_tokens_are_summed_up_by_their_mean_or_by_the_cls_token() -> None:
    tokens = torch.arange(24.0).view(2, 4, 3)
    torch.testing.assert_close(pooled(tokens), tokens[:, 1:].mean(1))
    torch.testing.assert_close(summary(tokens), tokens[:, 0])
    vectors = torch.randn(2, 3)
    assert pooled(vectors) is vectors and summary(vectors) is vectors


@pytest.mark.parametrize(
    ("method", "keys", "backbone", "message"),
    [
        ("directclr", {}, VIT, r"r\.backbone = 'b': a vit, but directclr needs a resnet"),
        ("directclr", {"subvector": 90}, RESNET, r"subvector = 90: 'b' has 8 channels; .* 1, null takes all"),
        ("ijepa", {}, RESNET, r"r\.backbone = 'b': a resnet, but ijepa needs a vit"),
        ("ijepa", {"predictor_width": 8, "predictor_heads": 3}, VIT, r"predictor_width = 8: not divisible by predictor_heads = 3"),
        ("simsiam", {"predictor": "identity", "predictor_trained": False}, RESNET, r"predictor_trained = False: .*nothing to"),
    ],
)  # fmt: skip
def test_a_combination_that_cannot_run_is_named(
    method: str, keys: dict[str, object], backbone: ResNet, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        METHODS[method].check(regime(method, **keys), backbone, "r")


# ---- timm


def params_with_timm(tmp_path: Path) -> Path:
    params = YAML(typ="safe").load(TINY)
    params["backbones"]["theirs"] = {"architecture": "timm", "model": "resnet10t"}
    params["regimes"]["simsiam"]["backbone"] = "theirs"
    path = tmp_path / "params.yaml"
    path.write_text(json.dumps(params))
    return path


def test_a_study_that_needs_timm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "timm" else find(name, *rest))
    with pytest.raises(UserError, match=r"backbones\.theirs needs timm: pip install timm"):
        load_study(params_with_timm(tmp_path))
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"model = 'resnet10t' needs timm: pip install timm"):
        build(Timm(architecture="timm", model="resnet10t"), 32)


@needs("timm")
@pytest.mark.parametrize(
    ("model", "size"), [("resnet10t", 32), ("vit_tiny_patch16_224", 32), ("mobilenetv3_small_050", 32)]
)
def test_a_timm_model_is_a_backbone(model: str, size: int, tmp_path: Path) -> None:
    load_study(params_with_timm(tmp_path))
    method = method_of(CONFIGS["byol"], Timm(architecture="timm", model=model))
    losses = method.loss(method(method.views(batch_for(method))))
    losses["loss"].backward()
    assert torch.isfinite(losses["loss"])
    assert method.features(torch.randn(2, 3, size, size))["representation"].shape == (2, method.backbone.width)  # type: ignore[union-attr]


@needs("timm")
def test_an_unknown_timm_model_is_answered_with_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"model = 'resnte18': timm has no model of that name; did you mean .*resnet18"):
        build(Timm(architecture="timm", model="resnte18"), 32)
