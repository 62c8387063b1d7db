"""What the page says beside each figure: what the paper shows, and what came out here, in numbers read off the results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from collapselab.report.tables import Table, short
from collapselab.toys.experiments import (
    AMPLITUDES,
    BLOCK,
    DEPTH_SEEDS,
    DEPTH_TIME,
    DEPTHS,
    DIM,
    RATES_AT,
    TIMES,
    WEAK,
    Strong,
    Toys,
    Trace,
    entropy_rank,
)
from collapselab.toys.figures import FLOOR
from collapselab.toys.flow import shared
from collapselab.toys.infonce import Float

ALIGNED = 0.9  # entry of |V_2^T U_1| from which a pair of directions counts as aligned
MOMENTS = (0, 20, 50, 100, 150, 200, 250, 300)


@dataclass(frozen=True)
class Section:
    """A figure; `paper` is what the paper shows, `here` what came out."""

    name: str
    title: str
    paper: str
    here: str
    table: Table


def sections(toys: Toys) -> list[Section]:
    """In the order of `figures.draw`."""
    return [
        _strong_section(toys.strong),
        _transition_section(toys.strong, toys.both),
        _alignment_section(toys.weak),
        _evolution_section(toys.weak),
        _depth_section(toys.depth),
        _catching_up(toys.stronger),
    ]


def _strong_section(strong: Strong) -> Section:
    negative = {k: int((values < 0).sum()) for k, values in strong.drive.items()}
    rows = [
        [f"{k:g}", *(short(strong.spectra[k, TIMES[-1]][place], 3) for place in (0, 7, 8, 15)), str(negative[k])]
        for k in AMPLITUDES
    ]
    header = ["k", *(f"singular value {place}" for place in (1, 8, 9, 16)), "negative eigenvalues of X"]
    return Section(
        "strong-augmentation",
        "Strong augmentation: the spectrum of W",
        "Figure 3 of the paper: one linear layer of 16 x 16, data of covariance I, augmentation of covariance "
        "blockdiag(0, k I) with blocks of 8. The larger k, the more of the singular values vanish. Theorem 1: dW/dt = W X, "
        "so where X, data less augmentation, has negative eigenvalues, W shrinks exponentially.",
        f"The same setting at four moments. All k start alike; then the {BLOCK} directions without noise grow for every k. The "
        f"other {BLOCK}, right of the dotted line, grow the less the nearer k comes to 1, and shrink beyond. At k "
        "= 4 the largest of them is "
        f"{short(strong.spectra[4.0, TIMES[-1]][BLOCK], 2)} at time {TIMES[-1]:g}. At that time X itself, in which the softmax "
        f"weights the pairs, has {negative[0.0]} negative eigenvalues at k = 0 and {negative[4.0]} at k = 4. Between the two some "
        "appear below k = 1: the softmax prefers pairs that are close, which lowers the data's share in whatever has grown "
        "and halts it.",
        Table(header, rows),
    )


def _transition_section(one: Strong, both: Strong) -> Section:
    later = TIMES[1:]
    rows = [
        [f"{k:g}", *(short(strong.least[k, time], 3) for strong in (one, both) for time in later)] for k in AMPLITUDES
    ]
    header = [f"{name}, time {time:g}" for name in ("one view", "both views") for time in later]
    first, last = (f"k = {one.crossing(time):.2f} at time {time:g}" for time in (later[0], later[-1]))
    corrected, settled = (f"{one.crossing(time, one.still):.2f}" for time in (later[0], later[-1]))
    return Section(
        "transition",
        "Where it begins: near k = 1, if one view is augmented",
        "Not drawn in the paper, but what theorem 1 says: under uniform softmax weights X has the eigenvalue 1 - k in the "
        "noisy directions, so that they neither grow nor shrink at k = 1.",
        f"Left, the geometric mean of the eight smallest singular values passes through its start at {first} and "
        f"{last}. Not at 1 exactly, since at the start the eight smallest are not those of the noisy half: if that half stood "
        f"still while the rest grew without end, their mean would come to {one.still:.2f} of its start. That value is passed at "
        f"k = {corrected} and {settled}. Beyond, decay goes on but slows, since X shrinks as the loss is solved. "
        "Right, the same noise spread over both views, as SimCLR augments: now the negatives carry it too, data less "
        "augmentation becomes data plus augmentation less augmentation, X begins as the data's covariance whatever k is, and the "
        f"threshold is gone. At k = {AMPLITUDES[-1]:g} the smaller half ends at "
        f"{short(both.least[AMPLITUDES[-1], later[-1]], 2)} of its start, against "
        f"{short(one.least[AMPLITUDES[-1], later[-1]], 2)} on the left; strong augmentation still makes these directions the "
        "weakest. So for SimCLR theorem 1 is an order, which directions are weakest, rather than a threshold beyond "
        "which they die.",
        Table(["k", *header], rows),
    )


def _alignment_section(trace: Trace) -> Section:
    times, diagonals = list(trace.diagonals), np.array(list(trace.diagonals.values()))
    aligned, grown = diagonals[-1] > ALIGNED, trace.kept[-1]
    change = trace.first[-1] / trace.first[0]
    rows = [[str(index + 1), *(f"{value:.3f}" for value in diagonals[:, index])] for index in range(DIM)]
    return Section(
        "alignment",
        "Implicit regularisation: adjacent layers align",
        "Figure 5 of the paper: |V2^T U1| of a two-layer linear network of 16 x 16 after training is the identity. Theorem 2: it "
        "tends to it for as long as X is positive definite and the singular values are distinct.",
        f"{int(aligned.sum())} of {DIM} directions are aligned at time {times[-1]:g} (above {ALIGNED:g}; the first "
        f"{grown}: {diagonals[-1][:grown].min():.3f} or more). They are those that grew, in W1 {change[aligned].min():.1f}-fold "
        f"or more; the others grew {change[~aligned].max():.1f}-fold at most. The reason is that W1 W1^T - W2^T W2 is conserved: "
        "an entry of V2^T U1 is what that has between v and u, over the difference of their squared singular values. So directions "
        f"align as they grow apart: neighbours among the first {grown} have squares that differ by {short(_gap(trace), 2)} "
        "(median), and "
        f"the conserved matrix has norm {short(trace.imbalance, 2)}. What grows to nearly the same size does not align one by one: "
        f"the last section has that. (The matrix drifted by {100 * trace.drift:.0f} % here, which is the step of gradient "
        "descent; in the flow it stays.) Here the paper's picture holds for the part of the network that learnt.",
        Table(["direction", *(f"time {time:g}" if time else "at the start" for time in times)], rows),
    )


def _gap(trace: Trace) -> float:
    """Between neighbouring squared singular values of W_1 among the directions kept at the end, the median."""
    return float(np.median(-np.diff(trace.first[-1, : trace.kept[-1]] ** 2)))


def _evolution_section(trace: Trace) -> Section:
    predicted, measured = trace.rates
    grown = measured > 0.1 * measured.max()
    error = float(np.abs(predicted / measured - 1)[grown].max())
    values = [found[at] for found in (trace.first, trace.second, trace.whole, trace.embedding) for at in (0, -1)]
    rows = [[str(index + 1), *(short(float(column[index]), 3) for column in values)] for index in range(DIM)]
    header = [
        "direction",
        *(f"{name}, {when}" for name in ("W1", "W2", "W2 W1", "covariance") for when in ("start", "end")),
    ]
    return Section(
        "implicit-regularisation",
        "Implicit regularisation: small singular values stay behind",
        "Figure 6 of the paper: the singular values of both weight matrices and of the embeddings' covariance over training. Some "
        "grow, the smallest stay smaller by far, most of all in the covariance. Theorem 3: s1' = s1 s2^2 (v^T X v) and the same "
        "with 1 and 2 exchanged, so what is small grows slowly.",
        f"The same, with augmentation of {trace.noise:g} in every direction, so that X has no reason to kill any. "
        f"{trace.kept[-1]} of {DIM} eigenvalues of the embeddings' covariance end above a hundredth of the largest. The eighth "
        f"value over the largest, at the start and at the end: in W1 {_eighth(trace.first)}, in W2 {_eighth(trace.second)}, in "
        f"their product {_eighth(trace.whole)}, in the covariance, which has the product's squares, {_eighth(trace.embedding)}. "
        "Theorem 3 gives the rates "
        f"of the {int(grown.sum())} directions that grow fastest at time {RATES_AT:g} within {100 * error:.1f} %. "
        "All stop when the loss is "
        f"solved ({short(float(trace.losses[-1]), 2)} from {short(float(trace.losses[0]), 3)}).",
        Table(header, rows),
    )


def _eighth(values: Float) -> str:
    before, after = (short(values[at, 7] / values[at, 0], 2) for at in (0, -1))
    return f"{before} and {after}"


def _depth_section(found: Mapping[tuple[int, bool], Float]) -> Section:
    means = {key: np.exp(np.log(values.clip(FLOOR)).mean(0)) for key, values in found.items()}
    rows = [[str(index + 1), *(short(float(values[index]), 3) for values in means.values())] for index in range(DIM)]
    names = [f"{layers}{', ReLU' if relu else ''}" for layers, relu in found]
    linear, bent = (
        ", ".join(_ranks(values) for (_, relu), values in found.items() if relu == wanted) for wanted in (False, True)
    )
    return Section(
        "depth",
        "Depth: one layer does not collapse, each further one collapses more",
        "Figure 11 of the paper: spectra of the embeddings for networks of different depth, linear and with ReLU. With one layer "
        "nothing collapses; the deeper, the more directions are lost, with ReLU too.",
        f"1 to {DEPTHS[-1]} layers of 16 x 16, augmentation of {WEAK:g} in every direction, time {DEPTH_TIME:g}, "
        f"{len(DEPTH_SEEDS)} seeds (thin; thick their geometric mean). Eigenvalues below {short(FLOOR)} of the largest, "
        f"some with ReLU 0, are drawn and averaged as that much. The spectral-entropy rank of the embeddings, of {DIM}, from "
        f"smallest to largest seed: linear {linear}; with ReLU, from 2 layers on, {bent}.",
        Table(["index", *names], rows),
    )


def _ranks(values: Float) -> str:
    ranks = entropy_rank(values)
    return f"{ranks.min():.1f} to {ranks.max():.1f}"


def _catching_up(trace: Trace) -> Section:
    counts = {time: trace.kept[trace.row(time)] for time in MOMENTS}
    loss = {time: float(trace.losses[trace.row(time)]) for time in MOMENTS}
    last, grown = trace.times[-1], trace.kept[-1]
    diagonal, held = trace.diagonals[last][:grown], trace.first[-1, :grown]
    told = ", ".join(f"{counts[time]} at time {time}" for time in (20, 50, 100, 200, 300))
    return Section(
        "catching-up",
        "What the paper does not show: with time, the second collapse can heal",
        "Section 5 says that small singular values grow slower, not that they stop. They stop where the loss is solved and X "
        "vanishes with it.",
        f"The same two layers under augmentation of {trace.noise:g} in every direction, still below the data's 1. "
        "Now the loss cannot "
        "vanish: each direction that has grown is held where the noise balances the data, X stays positive in the others, and they "
        f"follow one by one, each faster than exponentially once it starts. Of {DIM} directions {told} are above a hundredth of "
        "the largest. So how deep this collapse looks depends on when training ends, and a spectrum should be read with its "
        "time. What strong augmentation kills does not return for as long as the augmentation stays: there X is negative. "
        f"Growth alone does not align the layers one direction at a time: on the diagonal of |V2^T U1| these {grown} have "
        f"{diagonal.min():.2f} to {diagonal.max():.2f} at time {last:g}. The noise holds them all at about the same singular "
        f"value, in W1 {held.min():.2f} to {held.max():.2f}: neighbouring squares differ by {short(_gap(trace), 2)} (median), the "
        f"conserved W1 W1^T - W2^T W2 has norm {short(trace.imbalance, 2)}, and theorem 2 asks for distinct values. Only the "
        f"basis inside is left open: of the span of their u in W1, {100 * shared(trace.aligned[last], grown):.2f} % lies in that "
        "of their v in W2.",
        Table(["time", "directions kept", "loss"], [[str(t), str(counts[t]), short(loss[t], 3)] for t in MOMENTS]),
    )
