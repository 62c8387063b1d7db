"""What snapshots keep of token outputs where a study asks for it: each value against plain NumPy on the raw tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.training.conftest import content

from collapselab.config.study import Study, load_study
from collapselab.config.training import Tokens
from collapselab.data.augment import Normalisation
from collapselab.data.dataset import Manifest, Split
from collapselab.errors import UserError
from collapselab.files import load_arrays
from collapselab.methods import build
from collapselab.methods.base import Method, Softmax
from collapselab.training.cell import Cell, run_cell
from collapselab.training.modes import evaluating, in_train_mode
from collapselab.training.snapshots import Probe, make_probe, snapshot
from collapselab.training.tokens import summarise

CPU = torch.device("cpu")
POSITION = 5
LAYERS = ("student.logits", "teacher.logits", "student.representation", "teacher.representation")


@pytest.fixture
def silent(study: Study) -> Study:
    """The tiny study without the key."""
    snapshots = study.training.snapshots.model_copy(update={"tokens": None})
    return study.model_copy(update={"training": study.training.model_copy(update={"snapshots": snapshots})})


def seen_by(
    study: Study, splits: dict[str, Split], manifest: Manifest, regime: str
) -> tuple[Method, Probe, Normalisation]:
    """An untrained network of the regime, and the images that its snapshots see."""
    torch.manual_seed(0)
    config = study.regimes[regime]
    method = build(config, study.backbones[config.backbone], 32, 10)
    normalise = Normalisation.of(manifest.mean, manifest.std)
    split, augmentation = splits["validation"], study.augmentations[config.augmentation]
    images = torch.from_numpy(split.images)
    return method, make_probe(split, images, study.training.snapshots, augmentation, normalise, 0), normalise


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def second_moment(tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    """mean over images and positions of x x^T, one token at a time."""
    total = np.zeros((tokens.shape[2], tokens.shape[2]))
    for image in tokens:
        for token in image:
            total += np.outer(token, token)
    return total / (tokens.shape[0] * tokens.shape[1])


def assert_kept(arrays: dict[str, NDArray[Any]], under: str, layer: str, tokens: NDArray[np.float64]) -> None:
    """All that a snapshot keeps of one layer of tokens [N, T, d]."""

    def kept(name: str) -> NDArray[Any]:
        return arrays[f"{under}/{name}/{layer}"]

    np.testing.assert_allclose(kept("image"), tokens.mean(1), atol=1e-5)
    np.testing.assert_allclose(kept("fixed"), tokens[:, POSITION], atol=1e-5)
    np.testing.assert_allclose(kept("position"), tokens.mean(0), atol=1e-5)
    np.testing.assert_allclose(kept("moment"), second_moment(tokens), atol=1e-5)
    if not layer.endswith("logits"):
        assert f"{under}/probability-moment/{layer}" not in arrays
        return
    p = softmax(tokens)
    np.testing.assert_allclose(kept("probability"), p.mean(1), atol=1e-6)
    np.testing.assert_allclose(kept("probability-fixed"), p[:, POSITION], atol=1e-6)
    np.testing.assert_allclose(kept("probability-position"), p.mean(0), atol=1e-6)
    np.testing.assert_allclose(kept("probability-moment"), second_moment(p), atol=1e-7)
    np.testing.assert_allclose(kept("entropy"), -(p * np.log(p)).sum(-1).mean(1), atol=1e-5)


def test_the_ends_hold_both_modes_and_views_and_each_value_is_that_of_the_tokens(
    study: Study, splits: dict[str, Split], manifest: Manifest
) -> None:
    method, probe, normalise = seen_by(study, splits, manifest, "distillation")
    torch.manual_seed(1)
    arrays = snapshot(method, probe, normalise, ("eval",), Tokens(position=POSITION), end=True)
    clean = (probe.images.float() / 255 - normalise.mean[:, None, None]) / normalise.std[:, None, None]
    torch.manual_seed(1)  # dropout is the same where it is drawn in the same order
    for mode in ("eval", "train"):
        with evaluating(method) if mode == "eval" else in_train_mode(method):
            seen = {"clean": method.features(clean), "drawn": method.features(probe.drawn)}
        for view, layers in seen.items():
            for layer in LAYERS:
                assert_kept(arrays, f"{mode}/{view}", layer, layers[layer].double().numpy())
    assert arrays["eval/drawn/image/student.logits"].shape == arrays["eval/clean/image/student.logits"].shape
    assert not np.allclose(arrays["eval/drawn/image/student.logits"], arrays["eval/clean/image/student.logits"])
    assert "train/augmented/image/student.logits" not in arrays  # paid for only where `modes` asks for it


def test_snapshots_between_the_ends_hold_clean_tokens_in_eval_mode_alone(
    study: Study, splits: dict[str, Split], manifest: Manifest
) -> None:
    method, probe, normalise = seen_by(study, splits, manifest, "distillation")
    plain = snapshot(method, probe, normalise)
    between = snapshot(method, probe, normalise, ("eval",), Tokens(position=POSITION))
    added = {key.split("/")[2] for key in between.keys() - plain.keys()}
    assert added == {"fixed", "probability-fixed", "probability-moment"}
    assert {key.rsplit("/", 2)[0] for key in between.keys() - plain.keys()} == {"eval/clean"}
    assert all(np.array_equal(plain[key], between[key]) for key in plain)


def test_a_layer_of_vectors_has_no_position(study: Study, splits: dict[str, Split], manifest: Manifest) -> None:
    method, probe, normalise = seen_by(study, splits, manifest, "simsiam")
    before = {name: value.clone() for name, value in method.state_dict().items()}
    arrays = snapshot(method, probe, normalise, ("eval",), Tokens(position=POSITION), end=True)
    kept = {key.rsplit("/", 1)[0] for key in arrays if "/" in key}
    assert kept == {
        "eval/clean/image",
        "eval/augmented/image",
        "eval/drawn/image",
        "train/clean/image",
        "train/drawn/image",
    }
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_a_softmax_keeps_its_temperature_and_centre() -> None:
    torch.manual_seed(0)
    tokens, centre = torch.randn(6, 4, 3), torch.tensor([1.0, -1.0, 0.5])
    kept = summarise(tokens, Softmax(0.5, centre), 2)
    p = softmax((tokens.double().numpy() - centre.numpy()) / 0.5)
    np.testing.assert_allclose(kept["probability-fixed"], p[:, 2], atol=1e-6)
    np.testing.assert_allclose(kept["probability-moment"], second_moment(p), atol=1e-12)


def test_a_cell_that_keeps_tokens_gives_the_same_bytes_twice_and_trains_as_one_that_does_not(
    study: Study, silent: Study, splits: dict[str, Split], manifest: Manifest, tmp_path: Path
) -> None:
    for name, config in (("plain", silent), ("a", study), ("b", study)):
        run_cell(Cell(config, "distillation", 0, CPU), splits, manifest, tmp_path / name)
        torch.rand(3)  # whatever else consumes the global generator changes nothing
    first, plain = content(tmp_path / "a"), content(tmp_path / "plain")
    assert first == content(tmp_path / "b")
    assert first["weights.safetensors"] == plain["weights.safetensors"]
    assert first["history.csv"] == plain["history.csv"]
    paths = sorted((tmp_path / "a" / "snapshots").iterdir())
    whole = ["train/drawn/probability-moment/teacher.logits" in load_arrays(path) for path in paths]
    assert whole == [True, *[False] * (len(paths) - 2), True]
    assert b"tokens" in first["config.json"] and b"tokens" not in plain["config.json"]


def test_a_position_outside_the_image_is_named(tmp_path: Path) -> None:
    tiny = (Path(__file__).parents[1] / "tiny.yaml").read_text()
    params = tmp_path / "params.yaml"
    params.write_text(tiny.replace("tokens: {position: 5}", "tokens: {position: 16}"))
    with pytest.raises(UserError, match=r"tokens\.position = 16: backbones\.vit has 16 patches, 0 to 15"):
        load_study(params)
