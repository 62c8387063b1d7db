"""The benchmarks compare like with like: the peer is the same network and the same loss; ratios are of turns."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench.speed import NAMES, gpu, page, peer
from bench.speed.__main__ import before
from bench.speed.measure import Part, Result, Side

from collapselab.backbones import VisionTransformer
from collapselab.config.training import ViT
from collapselab.errors import UserError
from collapselab.files import read_json
from collapselab.methods.token_distillation import TokenDistillation, TokenDistillationConfig, TokenHead

VIT = ViT(architecture="vit", patch=4, width=256, depth=6, heads=4, mlp=1024, dropout=0.0)


def copied(network: torch.nn.Sequential) -> peer.Network:
    """The peer's network with the weights of ours."""
    renamed = {}
    for name, value in network.state_dict().items():
        name = (
            name.removeprefix("0.").replace("qkv.", "attention.in_proj_").replace("projection.", "attention.out_proj.")
        )
        renamed["head." + name[2:] if name.startswith("1.") else name] = value
    theirs = peer.Network(dropout=0.0)
    theirs.load_state_dict(renamed)
    return theirs


def test_the_peers_network_and_loss_are_ours() -> None:
    torch.manual_seed(0)
    networks = [
        torch.nn.Sequential(VisionTransformer(VIT, 32), TokenHead(256, [2048, 2048, 128], 0.0)) for _ in range(2)
    ]
    images = torch.randn(2, 3, 32, 32)
    ours = [network(images) for network in networks]
    theirs = [copied(network)(images) for network in networks]
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
    assert sum(p.numel() for p in peer.Network().parameters()) == sum(p.numel() for p in networks[0].parameters())
    config = TokenDistillationConfig(
        method="token_distillation", backbone="vit", augmentation="a", epochs=1, head_dropout=0.0, teacher="frozen"
    )
    method = TokenDistillation(config, VisionTransformer(VIT, 32), 10)
    loss = method.loss({"student": ours[0][:, 1:], "teacher": ours[1][:, 1:]})["loss"]
    torch.testing.assert_close(loss, peer.cross_entropy(theirs[1], theirs[0]), atol=1e-4, rtol=1e-4)


def test_of_several_parts_the_slowest_speaks_for_all() -> None:
    fast, slow = Part([6.0, 8.0, 10.0], [2.0, 2.0, 2.0]), Part([2.0, 4.0, 3.0], [2.0, 2.0, 2.0])
    found = Result("name", "peer", {"fast": fast, "slow": slow}).as_json()
    assert found["ratio"] == {"median": 1.5, "min": 1.0, "max": 2.0}
    assert set(found) == {"name", "peer", "ratio", "machine", "parts"}


def test_a_worker_answers_step_by_step_and_its_end_is_one_message() -> None:
    with Side("bench.speed.augment", "ours", "0", "1") as worker:
        assert worker.ask() > 0 and worker.ask("gemm") > 0
        worker._process.kill()
        with pytest.raises(UserError, match=r"python -m bench.speed.augment ours 0 1 has ended: it said nothing"):
            worker.ask()
    with (
        Side("bench.speed.worker", "ours", "bath", "flushed") as worker,
        pytest.raises(UserError, match="KeyError: 'bath'"),
    ):
        worker.ask()


def test_an_unknown_benchmark_is_one_message() -> None:
    command = [sys.executable, "-c", "from collapselab.cli import main; main()", "bench", "spectre"]
    result = subprocess.run(command, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 2 and "did you mean `spectra`?" in result.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="has one")
def test_the_gpus_benchmark_asks_for_one() -> None:
    with pytest.raises(UserError, match="CUDA"):
        gpu.measure(1)


def test_every_benchmark_has_a_goal() -> None:
    assert set(page.GOALS) == set(NAMES)


def test_a_part_measured_again_joins_the_others_of_its_machine_alone() -> None:
    written = read_json(page.DOCS / "speed.json")
    found = before(written["machine"])
    assert found == written
    found["ratios"]["knn"]["parts"] = {
        "50 x 10 x 8": {"ratio": {"median": 2, "min": 1, "max": 3}, "peer_s": 4, "ours_s": 2}
    }
    text = page.page(found)
    assert "| 50 x 10 x 8 | **2.00** | met | 1.00 | 3.00 | 4 | 2 |  |" in text
    assert all(f"| {name} |" in text for name in written["ratios"]["pretrain"]["parts"])
    with pytest.raises(UserError, match=r"'cores': 3.*Measure all parts"):
        before(written["machine"] | {"cores": 3})
