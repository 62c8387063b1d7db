"""The page of bench/monitor from runs with known truth."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from bench.monitor.cost import Cost, text
from bench.monitor.page import MARGIN, OFTEN, PAIRS, limits_from, page
from bench.monitor.runs import COMPARED, Watched, _Seen
from tests.methods.helpers import CONFIGS, batch_for, method_of

from collapselab.methods.base import Method

COST = Cost(step=10.0, between=0.01, reading=0.03, every=10, compute=0.5, rounds=3)


@cache  # and with a run what the detector found in it
def run(
    regime: str,
    seed: int,
    fall_at: int | None = None,
    knn_falls: int | None = None,
    shrunk: float = 1.0,
    total: int = 200,
) -> Watched:
    """200 steps of `total`; from `fall_at` on distances and directions are a thousandth, from `knn_falls` on k-NN is at chance."""
    readings = []
    for step in range(0, 200, 2):
        left = 1e-3 if fall_at is not None and step >= fall_at else 1.0
        size = shrunk if step >= 100 else 1.0
        readings.append((step, {"median_distance": left, "direction_spread": left, "mean_squared_norm": size}))
    knn = {step: 0.1 if knn_falls is not None and step >= knn_falls else 0.8 for step in range(0, 201, 20)}
    modes = {"embedding": {metric: [(2.0, 1.0), (4.0, 2.0)] for metric in COMPARED}}
    return Watched(regime, seed, 200, total, {"embedding": readings}, knn, modes)


def runs(fall_at: int | None = 60, knn_falls: int | None = 100, seeds: tuple[int, ...] = (0, 1)) -> list[Watched]:
    ill = [run(regime, seed, fall_at, knn_falls) for regime in PAIRS for seed in seeds]
    return ill + [run(regime, seed) for regime in PAIRS.values() for seed in seeds]


def written(of: list[Watched]) -> str:
    """The page, its lines joined."""
    return " ".join(page(of, 212, COST).split())


def row(text: str, *begin: str) -> list[str]:
    lines = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    return next(cells for cells in lines if cells[: len(begin)] == list(begin))


def test_the_lead_runs_from_the_third_reading_to_the_fall_of_knn() -> None:
    # Fallen at 60; three readings later is 80 where each tenth step is read, 64 where each second is. k-NN: 80 whole, 100 not.
    cells = row(page(runs(), 212, COST), "vicreg-no-variance", "1")
    assert cells[2:] == ["100", "80: complete at embedding", "20 (0)", "64: complete at embedding", "36 (16)"]


def test_healthy_runs_count_as_false_alarms_by_the_limits_of_other_seeds() -> None:
    found = page(runs(), 212, COST)
    assert row(found, "10", "**all**")[2:5] == ["6", "1200", "0"]
    assert "no false-alarm rate below\n0.14 a run" in found  # 1 / (6 + 1)
    assert row(found, "vicreg", "embedding")[2:] == ["2.00"] * len(COMPARED)


def test_no_run_is_judged_by_a_limit_that_it_helped_to_set() -> None:
    # The norm of one healthy seed shrinks a millionfold: an alarm for it, and a higher limit for the others.
    odd, calm = run("vicreg", 0, shrunk=1e-6), run("vicreg", 1)
    assert limits_from([odd], every=2)["norm"] == pytest.approx(
        MARGIN * 3
    )  # ln 1e6 / ln 100, declared at a hundredfold
    assert limits_from([calm], every=2)["norm"] == 1
    both = [*(r for r in runs() if r.regime != "vicreg"), odd, calm]
    assert row(page(both, 212, COST), str(OFTEN[1]), "vicreg")[4] == "1"
    assert "False alarms: 1, in 1 of 6 healthy runs." in written(both)
    assert "Higher limits in force: norm 4.50 (seed 1, read every 10 steps); norm 4.50 (seed 1," in written(both)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [((0, 1), "No higher limit was in force: 1.5 times"), ((0,), "the declared limits judged every run")],
)
def test_the_page_says_where_no_higher_limit_was_in_force(seeds: tuple[int, ...], said: str) -> None:
    assert said in written(runs(seeds=seeds))


@pytest.mark.parametrize(
    ("fall_at", "knn_falls", "verdict", "told"),
    [
        # Named at 80 and 64; at 80 k-NN was still whole.
        (60, 100, "Named before k-NN fell", "fell in 6: 6 named before it (6 of them for certain), 0 at that step or"),
        (
            70,
            80,
            ": 0 of 6 read every 10 steps; 6 of 6 read every 2 steps.",
            "6 named before it (0 of them for certain), 0 at",
        ),
        (
            60,
            40,
            "**No warning came ahead of a fall of k-NN.**",
            "k-NN fell in 6: 0 named before it, 6 at that step or",
        ),
        (
            None,
            40,
            "**No warning came ahead of a fall of k-NN.**",
            "0 of 6 collapsed runs were named. k-NN fell in 6: 0",
        ),
        (
            60,
            None,
            "so nothing here measures a lead",
            "6 of 6 collapsed runs were named. k-NN did not fall in 6",
        ),
    ],
)
def test_the_page_counts_what_was_named_before_knn_fell(
    fall_at: int | None, knn_falls: int | None, verdict: str, told: str
) -> None:
    found = written(runs(fall_at, knn_falls))
    assert verdict in found and told in found
    assert "False alarms: 0, in 0 of 6 healthy runs." in found
    assert ("k-NN did not fall in 6: 6 named." in found) == (knn_falls is None)


def test_the_page_says_which_healthy_runs_were_cut() -> None:
    assert "6 of 6 healthy runs were watched to their end." in written(runs())
    cut = [run(r.regime, r.seed, total=1500) if r.regime == "simsiam" else r for r in runs()]
    told = "4 of 6 healthy runs were watched to their end. The others were cut (simsiam, seed 0, 1: 200 of 1500 steps):"
    assert told in written(cut)


def test_the_cost_of_a_reading_stands_apart_from_that_of_a_step() -> None:
    rows = text(COST)
    assert row(rows, "`update` that takes a reading")[1:] == ["0.030", "0.30 %"]
    assert row(rows, "`update`, mean at a reading every 10 steps")[1:] == ["0.012", "0.12 %"]  # (9 x .01 + .03) / 10
    assert row(rows, "`compute`, one call")[1:] == ["0.500", "5.00 %"]
    assert "a call every 500 steps" in " ".join(rows.split())  # .5 s is 1 % of 50 s


@pytest.mark.parametrize(("name", "cosines"), [("simsiam", True), ("vicreg", False)])
def test_embeddings_are_normalised_where_the_loss_compares_cosines(name: str, cosines: bool) -> None:
    method: Method = method_of(CONFIGS[name])
    seen = _Seen(method, cosines)
    method(method.views(batch_for(method)))
    taken = seen.take()
    assert unit(taken["embedding"]) == cosines and not unit(taken["representation"])


def unit(given: dict[str, torch.Tensor]) -> bool:
    return all(torch.allclose(z.norm(dim=1), torch.ones(len(z))) for z in given.values())
