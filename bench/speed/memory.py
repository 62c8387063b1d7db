"""The training process's peak memory beside what it can't do without: model, optimiser, activations and data."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from itertools import islice

import torch
from bench.speed.measure import in_own_process, peak
from torch import Tensor

from collapselab.pipeline import ALLOCATION

IMAGES = 50_000
STEPS = 5
MIB = 2**20


def measure(regime: str = "both") -> dict[str, float]:
    """MiB of a process of its own that takes a few steps on 50,000 images: `peak` above its libraries' own, and the parts."""
    parts, whole = (in_own_process("bench.speed.memory", regime, what, **ALLOCATION) for what in ("parts", "peak"))
    return parts | whole


def _run(regime: str, what: str) -> None:
    """`parts`: of one step, which is watched. `peak`: of a few that are left alone, as watching moves what lies in memory."""
    from bench.speed.ours import cell
    from bench.speed.worker import images

    from collapselab.data.augment import Normalisation
    from collapselab.data.loader import Loader
    from collapselab.methods import build
    from collapselab.training.gradients import GradientStatistics
    from collapselab.training.loop import losses_of
    from collapselab.training.optimisers import build_optimiser
    from collapselab.training.process import prepare

    prepare(0)
    # Anything that libraries load for their first step counts as theirs.
    torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1).step()
    libraries = peak()
    # A training reads its images and their statistics from files: it does not compute them.
    running, _, manifest = cell(regime, images(512))
    study = running.study
    config = study.regimes[regime]
    held = torch.from_numpy(images(IMAGES).reshape(IMAGES, 3, 32, 32))
    loader = Loader(
        held,
        torch.arange(IMAGES) % 10,
        study.augmentations["notebook"],
        Normalisation.for_data(study.data, manifest),
        config.batch_size,
        0,
        shuffle=False,
    )
    method = build(config, study.backbones["vit"], 32, 10).train()
    optimiser = build_optimiser(method, config.optimiser)
    gradients = GradientStatistics(method)
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    watch = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    for batch in islice(loader.epoch(0), STEPS if what == "peak" else 1):
        optimiser.zero_grad(set_to_none=True)
        with watch if what == "parts" else nullcontext():
            loss = losses_of(method, method.views(batch))["loss"]
        loss.backward()
        gradients.update()
        optimiser.step()
    if what == "peak":
        print(f"peak={(peak() - libraries) / MIB}")
        return
    weights = {parameter.untyped_storage().data_ptr() for parameter in method.parameters()}
    model = sum(parameter.nbytes for parameter in method.parameters())
    state = sum(
        value.nbytes for entry in optimiser.state.values() for value in entry.values() if torch.is_tensor(value)
    )
    parts = {
        "model": model,
        "gradients": sum(parameter.nbytes for parameter in method.parameters() if parameter.requires_grad),
        "optimiser": state,
        "activations": sum(size for place, size in saved.items() if place not in weights),
        "data": held.nbytes,
    }
    print(*(f"{name}={size / MIB}" for name, size in parts.items()), sep="\n")


if __name__ == "__main__":
    _run(*sys.argv[1:])
