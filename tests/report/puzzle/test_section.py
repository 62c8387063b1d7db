"""Snapshots of known tokens give known spectra, and the page shows them on top."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from collapselab.files import read_json, save_arrays
from collapselab.report.build import build
from collapselab.report.inputs import fingerprint, input_paths
from collapselab.report.puzzle import onevector, section
from collapselab.report.puzzle.figures import VIEWS, one_vector, takings
from collapselab.report.puzzle.onevector import OneVector
from collapselab.report.puzzle.taken import PAPER, Index, Taken, Way, take
from collapselab.runs import Run as Cell

Array = NDArray[Any]
ALL = PAPER._replace(tokens="pooled")
LAST = 40


# ---- snapshots of tokens that are known


def crossed(image: float, position: float, offset: float = 0.0) -> Array:
    """[8, 4, 4]: images differ by +-image along axis 0, positions by +-position along axis 1; `offset` along axis 2."""
    tokens = np.zeros((8, 4, 4))
    tokens[..., 0] = image * np.resize([1, -1], 8)[:, None]
    tokens[..., 1] = position * np.resize([1, -1], 4)
    tokens[..., 2] = offset
    return tokens


def softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def arrays_of(tokens: Array, under: str, layer: str) -> dict[str, Array]:
    """What a snapshot keeps of tokens [N, T, K], one position being the second."""
    p, flat = softmax(tokens), tokens.reshape(-1, tokens.shape[2])
    q = p.reshape(flat.shape)
    kept = {
        "image": tokens.mean(1).astype(np.float32),
        "fixed": tokens[:, 1].astype(np.float32),
        "position": tokens.mean(0),
        "moment": flat.T @ flat / len(flat),
        "probability": p.mean(1).astype(np.float32),
        "probability-fixed": p[:, 1].astype(np.float32),
        "probability-position": p.mean(0).astype(np.float32),
        "probability-moment": q.T @ q / len(flat),
        "entropy": -(p * np.log(p)).sum(-1).mean(1).astype(np.float32),
    }
    return {f"{under}/{name}/{layer}": value for name, value in kept.items()}


def write_ends(cell: Cell, tokens: Callable[[int, str], Array] | None) -> None:
    """Both ends' snapshots, of tokens by step and mode, and the features of test images."""
    for step, moment in ((0, "initial"), (LAST, "final")):
        arrays: dict[str, Array] = {"labels": np.arange(8) % 3}
        features = {"train/labels": np.arange(8) % 3}
        for layer in ("student.logits", "teacher.logits") if tokens else ():
            for mode in ("eval", "train"):
                for view in ("clean", "drawn"):
                    arrays |= arrays_of(tokens(step, mode), f"{mode}/{view}", layer)
            if layer.startswith("student."):
                features |= {f"{split}/{layer}": tokens(step, "eval").mean(1) for split in ("train", "test")}
        if not tokens:
            left = np.where(np.arange(16) < (16 if step == 0 else 4), 1, 1e-3)
            vectors = np.random.default_rng(step).normal(size=(200, 16)) * left
            for layer in ("logits" if cell.regime == "supervised" else "embedding", "representation"):
                features |= {f"{split}/{layer}": vectors for split in ("train", "test")}
        save_arrays(cell.folder / "snapshots" / f"step-{step:06d}.safetensors", arrays, {"step": step})
        save_arrays(cell.folder / f"features-{moment}.safetensors", features)


def known(step: int, mode: str) -> Array:
    """Training moves the mean along axis 2 alone; train mode adds a little of everything."""
    tokens = crossed(1.0, 2.0, 200.0 if step else 0.0)
    if mode == "train":
        tokens = tokens + 0.5 * np.random.default_rng(step).normal(size=tokens.shape)
    return np.asarray(tokens)


@pytest.fixture
def kept(tree: Path, params: dict[str, Any]) -> Path:
    """The made-up study, its snapshots keeping tokens."""
    params["training"] = {"snapshots": {"tokens": {"position": 1}}}
    for regime in params["regimes"]:
        for seed in params["seeds"]:
            write_ends(
                Cell(regime, seed, tree / "runs/fake/pretrain" / regime / f"seed-{seed}"),
                known if regime == "tokens" else None,
            )
    return tree


def pick(taken: list[Taken], step: int, way: Way, network: str = "student", seed: int = 0) -> Taken:
    (one,) = [t for t in taken if (t.step, t.way, t.network, t.seed) == (step, way, network, seed)]
    return one


def test_ranks_and_the_means_share_of_known_tokens(kept: Path, params: dict[str, Any]) -> None:
    taken = take(params, kept)
    # both networks, two seeds, both ends, two modes, two views, two spaces, four ways to take tokens
    assert len(taken) == 2 * 2 * 2 * 2 * 2 * 2 * 4
    pooled = pick(taken, 0, ALL)
    np.testing.assert_allclose(pooled.eigenvalues, [4, 1, 0, 0], atol=1e-12)
    assert pooled.effective_rank == pytest.approx(math.exp(-(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))))
    assert pooled.spectral_entropy_rank == pytest.approx(math.exp(-(0.8 * math.log(0.8) + 0.2 * math.log(0.2))))
    assert pooled.mean_share == 0
    assert pick(taken, LAST, ALL).mean_share == pytest.approx(200**2 / (200**2 + 5))
    for tokens in ("within", "fixed", "mean"):  # the image moves one axis alone
        one = pick(taken, 0, ALL._replace(tokens=tokens))
        np.testing.assert_allclose(one.eigenvalues, [1, 0, 0, 0], atol=1e-12)
        assert one.effective_rank == pytest.approx(1)
    assert math.isnan(pick(taken, 0, ALL._replace(tokens="within")).mean_share)


def test_probabilities_equal_plain_numpy_on_the_tokens(kept: Path, params: dict[str, Any]) -> None:
    taken = take(params, kept)
    p = softmax(known(0, "train"))
    flat = p.reshape(-1, 4)
    expected = {
        "pooled": flat,
        "within": (p - p.mean(0)).reshape(-1, 4),
        "fixed": p[:, 1],
        "mean": p.mean(1),
    }
    for tokens, vectors in expected.items():
        one = pick(taken, 0, Way("train", "clean", tokens, "probabilities"))
        values = np.linalg.eigvalsh(np.cov(vectors.T, bias=True))[::-1]
        np.testing.assert_allclose(one.eigenvalues, values, atol=1e-8)
    each = -(flat * np.log(flat)).sum(1).mean()
    marginal = flat.mean(0)
    one = pick(taken, 0, Way("train", "clean", "pooled", "probabilities"))
    assert one.entropy == pytest.approx(each, abs=1e-6)
    assert one.marginal_entropy == pytest.approx(-(marginal * np.log(marginal)).sum(), abs=1e-6)


@pytest.mark.parametrize("tokens", ["pooled", "within"])
@pytest.mark.filterwarnings("error")  # a variance that rounds below zero is none
def test_a_spread_of_rounding_has_no_rank(kept: Path, params: dict[str, Any], tokens: str) -> None:
    one = pick(take(params, kept), LAST, ALL._replace(space="probabilities", tokens=tokens))
    assert one.entropy == pytest.approx(0, abs=1e-6)  # the offset saturates the softmax
    assert math.isnan(one.effective_rank) and not one.resolved
    assert section.entries([one])[0]["effective_rank"] is None


def test_a_study_that_keeps_none_has_no_section(tree: Path, params: dict[str, Any]) -> None:
    out = build(params, tree)
    assert read_json(out / "puzzle.json") == []
    assert "How outputs are taken" not in (out / "report.md").read_text()
    assert not (out / "figures" / "takings.svg").exists()


def test_one_normalised_vector_an_image(tmp_path: Path) -> None:
    cell = Cell("simclr", 0, tmp_path)
    axes = np.tile(np.eye(6), (10, 1)) * np.arange(1, 61)[:, None]  # lengths that normalising takes away
    one = OneVector.of(cell, "embedding", axes, end=True)
    np.testing.assert_allclose(one.eigenvalues, [*[1 / 6] * 5, 0], atol=1e-12)
    assert one.effective_rank == pytest.approx(5)


# ---- the page


def test_the_section_stands_on_top_with_its_figures(kept: Path, params: dict[str, Any]) -> None:
    out = build(params, kept)
    text = (out / "report.md").read_text()
    assert text.index("## How outputs are taken") < text.index("## Verdicts")
    for name in ("takings", "takings-teacher", "one-vector"):
        assert text.count(f"figures/{name}.svg") == 1 and (out / "figures" / f"{name}.svg").is_file()
    told = {claim[0]: claim[1] for claim in re.findall(r"^\d\. \*\*(.+?)\*\*: (.+?)\. ", text, re.MULTILINE)}
    assert told["A shift of the mean, which centring deletes"].startswith("holds")
    assert told["Pooling, which adds what position explains"].startswith("holds")
    assert told["Another method, another figure"] == (
        "holds: training made a drop in the embedding of simclr, and in no token regime's logits"
    )
    page = (out / "report.html").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) and set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(ids)
    wanted = {
        "regime",
        "network",
        "mode",
        "tokens",
        "space",
        "effective_rank",
        "spectral_entropy_rank",
        "mean_share",
        "entropy",
    }
    assert all(wanted | {"seed", "step", "view"} <= set(entry) for entry in read_json(out / "puzzle.json"))


def test_the_page_is_the_same_twice_and_follows_its_snapshots(kept: Path, params: dict[str, Any]) -> None:
    first = {path.name: path.read_bytes() for path in build(params, kept).rglob("*") if path.is_file()}
    assert first == {path.name: path.read_bytes() for path in build(params, kept).rglob("*") if path.is_file()}
    before = fingerprint(input_paths(params, kept))
    write_ends(Cell("tokens", 1, kept / "runs/fake/pretrain/tokens/seed-1"), lambda step, mode: 2 * known(step, mode))
    assert fingerprint(input_paths(params, kept)) != before


def test_every_panel_has_every_regime_and_shares_its_axes(kept: Path, params: dict[str, Any]) -> None:
    student, teacher = takings(Index(take(params, kept)))
    assert (student.name, teacher.name) == ("takings", "takings-teacher")
    assert [panel.title for panel in student.panels] == [view.title for view in VIEWS]
    assert all([line.label for line in panel.lines] == ["tokens"] for panel in student.panels)
    assert {panel.group for panel in student.panels} == {""}
    (chart,) = one_vector(onevector.one_vector_spectra(params, kept))
    assert [panel.title for panel in chart.panels] == [
        "simclr: representation",
        "simclr: embedding",
        "tokens: student.logits",
    ]
