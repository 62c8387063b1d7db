"""The other libraries that bench/definitions calls, and how."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import scipy.stats
import torch
from bench.definitions.features import Array, Features, exp_entropy, scatters, spectrum, unit, viewed


def bare_packages(*names: str) -> None:
    """Register packages by their folders, without running their __init__.

    stable_pretraining's imports transformers, datasets and more, and its JAX backend's JAX, none of which the files used here
    need. Those files are then imported as they are.
    """
    for name in names:
        parent, _, child = name.rpartition(".")
        if parent:
            folders = [str(Path(folder) / child) for folder in sys.modules[parent].__path__]
        else:
            spec = importlib.util.find_spec(name)
            if spec is None:
                raise ModuleNotFoundError(f"No module named {name!r}")
            folders = list(spec.submodule_search_locations or [])
        package = types.ModuleType(name)
        package.__path__ = folders
        sys.modules[name] = package


@cache
def stable_pretraining() -> types.SimpleNamespace:
    """Its RankMe and LiDAR callbacks, and the LiDAR of its JAX backend, which is NumPy."""
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    root = "stable_pretraining"
    bare_packages(root, f"{root}.callbacks", f"{root}.jax", f"{root}.jax.callbacks")
    trainer: Any = types.ModuleType(f"{root}.jax.trainer")
    trainer.Callback = trainer.Trainer = object
    sys.modules[trainer.__name__] = trainer
    return types.SimpleNamespace(
        RankMe=importlib.import_module(f"{root}.callbacks.rankme").RankMe,
        LiDAR=importlib.import_module(f"{root}.callbacks.lidar").LiDAR,
        lidar_by_label=importlib.import_module(f"{root}.jax.callbacks.lidar").lidar,
    )


def their_rankme(z: Array) -> float:
    """What stable_pretraining's callback logs for a full queue of these features."""
    found: dict[str, float] = {}
    callback = stable_pretraining().RankMe("rankme", "embedding", len(z), z.shape[1], verbose=False)
    callback._target_queue = types.SimpleNamespace(data=torch.from_numpy(z))
    trainer = types.SimpleNamespace(global_rank=0)
    callback.on_validation_batch_end(trainer, types.SimpleNamespace(log=found.__setitem__), {}, {}, 0)
    return found["rankme"]


def their_lidar(rows: Array, images: int, views: int) -> float:
    """What stable_pretraining's callback computes for a full queue of these rows, in this order."""
    callback = stable_pretraining().LiDAR(
        "lidar", "embedding", len(rows), rows.shape[1], n_classes=images, samples_per_class=views, verbose=False
    )
    return float(callback._compute_lidar(torch.from_numpy(rows))["lidar"])


@dataclass(frozen=True)
class Library:
    """A distribution on the package index; `modules` must be importable for it to count as installed."""

    distribution: str
    modules: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.distribution)

    @property
    def shown(self) -> str:
        return f"{self.distribution} {self.version}" if not missing(self) else self.distribution


@cache
def missing(library: Library) -> str:
    """Why a library can't be used; empty where it can."""
    try:
        importlib.metadata.version(library.distribution)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in library.modules:
                if name == "stable_pretraining":
                    stable_pretraining()
                else:
                    importlib.import_module(name)
    except importlib.metadata.PackageNotFoundError:
        return "is not installed"
    except Exception as error:  # whatever its import runs into, the others are compared
        return f"can't be imported ({type(error).__name__}: {error})"
    return ""


NUMPY = Library("numpy")
SCIPY = Library("scipy")
SKLEARN = Library("scikit-learn", ("sklearn.decomposition", "sklearn.linear_model"))
TORCH = Library("torch")
SSRLIB = Library("ssrlib", ("ssrlib.processing",))
NDTRACKER = Library("ndtracker", ("ndt.core.estimators",))
SKDIM = Library("scikit-dimension", ("skdim.id",))
DIMENSIONALITY = Library("dimensionality", ("dimensionality",))
QUALITY = Library("embedding-quality", ("embedding_quality",))
REPTRIX = Library("reptrix", ("reptrix.rankme", "reptrix.lidar", "reptrix.alpha"))
LIGHTLY = Library("lightly", ("lightly.utils.debug", "lightly.loss.hypersphere_loss", "lightly.loss.vicreg_loss"))
CKATORCH = Library("ckatorch", ("ckatorch.core",))
STABLE = Library("stable-pretraining", ("stable_pretraining",))


def ssrlib(processor: str, **options: Any) -> Callable[[Features], float]:
    return lambda of: (
        importlib.import_module("ssrlib.processing").create_processor(processor, **options).process(of.z)[0]
    )


def ndtracker(name: str) -> Callable[[Features], float]:
    return lambda of: getattr(importlib.import_module("ndt.core.estimators"), name)(torch.from_numpy(of.z))


def quality(name: str) -> Callable[[Features], float]:
    return lambda of: getattr(
        importlib.import_module("embedding_quality").UnsupervisedEmbeddingQualityEvaluation, name
    )(of.z)


def skdim(estimator: str, **options: Any) -> Any:
    return getattr(importlib.import_module("skdim.id"), estimator)(**options)


def hypersphere(one: Array, other: Array, **options: float) -> float:
    loss = importlib.import_module("lightly.loss.hypersphere_loss").HypersphereLoss(**options)
    return float(loss(torch.from_numpy(one), torch.from_numpy(other)))


def weighted_line(of: Features) -> float:
    values = spectrum(of.z)
    values = values[: min(len(of.z) - 1, len(values))]
    rank = np.arange(1, len(values) + 1)
    line = importlib.import_module("sklearn.linear_model").LinearRegression()
    return float(-line.fit(np.log(rank)[:, None], np.log(values), sample_weight=1 / rank).coef_[0])


def cumulative_variance(of: Features) -> float:
    ratios = importlib.import_module("sklearn.decomposition").PCA().fit(unit(of.z)).explained_variance_ratio_
    return float(ratios.cumsum().mean())


def generalised_lidar(of: Features) -> float:
    between, within, count, total = scatters(viewed(of))
    values = scipy.linalg.eigh(between / count, within / total + 1e-4 * np.eye(len(within)), eigvals_only=True)
    return exp_entropy(values.clip(min=0), 1e-7)


def one_way(of: Features) -> float:
    """(F - 1) / q of a one-way analysis of variance, images for groups."""
    views = viewed(of)[..., 0]
    return float((scipy.stats.f_oneway(*views).statistic - 1) / views.shape[1])
