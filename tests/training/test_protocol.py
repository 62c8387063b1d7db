"""The protocol that makes accuracies worth something: eval mode always, and the test images once, at the end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.methods.helpers import CONFIGS, batch_for, method_of
from tests.training.conftest import content

from collapselab.config.evaluation import Knn
from collapselab.config.study import Study
from collapselab.data.augment import Normalisation, clean
from collapselab.data.dataset import Manifest, Split
from collapselab.evaluation.knn import judge
from collapselab.files import load_arrays
from collapselab.methods import METHODS
from collapselab.runs import Run
from collapselab.training.cell import Cell, run_cell
from collapselab.training.snapshots import write_features

BATCH_NORM = torch.nn.modules.batchnorm._BatchNorm
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_features_that_are_evaluated_are_those_of_eval_mode(
    name: str, splits: dict[str, Split], study: Study, manifest: Manifest, tmp_path: Path
) -> None:
    method = method_of(CONFIGS[name]).train()
    for _ in range(3):  # running statistics that differ from any batch's
        method(method.views(batch_for(method)))
    normalise = Normalisation.for_data(study.data, manifest)
    images = torch.from_numpy(splits["test"].images[:40])
    modes = [module.training for module in method.modules()]
    write_features(
        tmp_path / "f.safetensors", method, {"test": (images, splits["test"].labels[:40])}, normalise, step=1
    )
    assert [module.training for module in method.modules()] == modes and method.training
    written = load_arrays(tmp_path / "f.safetensors")
    with torch.no_grad():
        in_eval = vectors(method.eval().evaluated(clean(images, normalise)))
        alone = vectors(method.evaluated(clean(images[:1], normalise)))
        in_training = vectors(method.train().evaluated(clean(images, normalise)))  # last: it moves running statistics
    for layer, expected in in_eval.items():
        np.testing.assert_allclose(written[f"test/{layer}"], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            written[f"test/{layer}"][:1], alone[layer], rtol=1e-4, atol=1e-5
        )  # no batch statistics
    told_apart = any(
        not np.allclose(written[f"test/{layer}"], value, atol=1e-4) for layer, value in in_training.items()
    )
    assert told_apart or not any(
        isinstance(module, BATCH_NORM) or getattr(module, "p", 0) for module in method.modules()
    )


def vectors(layers: Mapping[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {layer: (value if value.ndim == 2 else value.mean(1)).detach().numpy() for layer, value in layers.items()}


@pytest.fixture(scope="module")
def two_tests(
    study: Study, splits: dict[str, Split], manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same run twice, the second with other test images: the first's upside down, with other labels."""
    test = splits["test"]
    others = Split(test.images[:, :, ::-1].copy(), (test.labels + 1) % 10, test.factors)
    folders = []
    for number, given in enumerate((test, others)):
        out = tmp_path_factory.mktemp(f"run-{number}")
        run_cell(Cell(study, "simsiam", 0, CPU), splits | {"test": given}, manifest, out)
        folders.append(out)
    return folders[0], folders[1]


def test_test_images_touch_nothing_but_the_features_of_the_start_and_the_end(two_tests: tuple[Path, Path]) -> None:
    first, second = (content(folder) for folder in two_tests)
    assert first.keys() == second.keys()
    different = {name for name in first if first[name] != second[name]}
    assert different == {"features-initial.safetensors", "features-final.safetensors"}
    for name in different:
        arrays, others = (load_arrays(folder / name) for folder in two_tests)
        changed = {key for key in arrays if not np.array_equal(arrays[key], others[key])}
        assert changed == {key for key in arrays if key.startswith("test/")}


def test_the_curve_and_the_best_of_it_are_chosen_without_test_images(two_tests: tuple[Path, Path]) -> None:
    first, second = (judge(Run("simsiam", 0, folder), Knn(k=5)).entry for folder in two_tests)
    assert (first["curve"], first["best"]) == (second["curve"], second["best"])
    assert first["layers"] != second["layers"]
    best = max(first["curve"], key=lambda point: (point["knn"], -point["step"]))
    assert first["best"] == best and best["step"] in [point["step"] for point in first["curve"]]


def test_test_images_are_read_at_the_start_and_after_the_last_step_alone(
    two_tests: tuple[Path, Path], tmp_path: Path
) -> None:
    # Snapshots of the steps between hold the probe set of validation images; nothing of them is needed for the table.
    run = shutil.copytree(two_tests[0], tmp_path / "run")
    whole = judge(Run("simsiam", 0, run), Knn(k=5)).entry
    for snapshot in sorted((run / "snapshots").iterdir())[1:]:
        snapshot.unlink()
    alone = judge(Run("simsiam", 0, run), Knn(k=5)).entry
    assert alone["layers"] == whole["layers"] and alone["curve"] == whole["curve"][:1]
