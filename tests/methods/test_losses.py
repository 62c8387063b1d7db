"""Each loss of two views against a closed form and against the paper's pseudo-code, written plainly here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.methods.helpers import CONFIGS, batch_for, changed, embeddings, method_of
from torch import Tensor

from collapselab.methods import barlow_twins
from collapselab.methods.base import Method

# ---- SimSiam


def test_simsiam_equals_the_papers_pseudo_code() -> None:
    p1, p2 = embeddings(6, 5)
    z1, z2 = embeddings(6, 5, seed=1)

    def d(p: Tensor, z: Tensor) -> Tensor:  # algorithm 1
        p, z = p / p.norm(dim=1, keepdim=True), z / z.norm(dim=1, keepdim=True)
        return -(p * z).sum(dim=1).mean()

    method = method_of(CONFIGS["simsiam"])
    loss = method.loss({"p1": p1, "p2": p2, "z1": z1, "z2": z2})["loss"]
    torch.testing.assert_close(loss, d(p1, z2) / 2 + d(p2, z1) / 2)
    same = method.loss({"p1": z1, "p2": z1, "z1": z1, "z2": z1})["loss"]
    assert float(same) == pytest.approx(-1)


def test_simsiam_stops_the_gradient_at_the_targets_and_only_there() -> None:
    (p1, p2), (z1, z2) = ([t.requires_grad_() for t in embeddings(6, 5, seed=s)] for s in (0, 1))
    outputs = {"p1": p1, "p2": p2, "z1": z1, "z2": z2}
    method_of(CONFIGS["simsiam"]).loss(outputs)["loss"].backward()
    assert z1.grad is None and z2.grad is None and p1.grad is not None
    method_of(changed("simsiam", stop_gradient=False)).loss(outputs)["loss"].backward()
    assert z1.grad is not None and z1.grad.abs().sum() > 0


def test_without_a_predictor_stop_gradient_exactly_halves_simsiams_gradient() -> None:
    gradients = []
    for stop in (True, False):
        config = changed("simsiam", stop_gradient=stop, predictor="identity")
        method = method_of(config)
        method.loss(method(method.views(batch_for(method))))["loss"].backward()
        gradients.append(torch.cat([p.grad.flatten() for p in method.backbone.parameters()]))  # type: ignore[union-attr]
    torch.testing.assert_close(2 * gradients[0], gradients[1], atol=1e-6, rtol=1e-4)


# ---- SimCLR


def test_simclr_equals_equation_1_written_as_a_double_loop() -> None:
    z1, z2 = embeddings(5, 4)
    temperature = 0.3
    z = np.concatenate([z1, z2])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    total = 0.0
    for i in range(10):
        j = (i + 5) % 10
        denominator = sum(math.exp(z[i] @ z[k] / temperature) for k in range(10) if k != i)
        total += -math.log(math.exp(z[i] @ z[j] / temperature) / denominator)
    method = method_of(changed("simclr", temperature=temperature))
    assert float(method.loss({"z1": z1, "z2": z2})["loss"]) == pytest.approx(total / 10, rel=1e-9)


def test_simclr_of_a_constant_is_the_log_of_the_negatives() -> None:
    z = torch.ones(5, 4)
    assert float(method_of(CONFIGS["simclr"]).loss({"z1": z, "z2": z})["loss"]) == pytest.approx(math.log(9))
    off = method_of(changed("simclr", negatives=False))
    assert float(off.loss({"z1": z, "z2": z})["loss"]) == pytest.approx(-1 / 0.2)


# ---- VICReg


def test_vicreg_equals_the_papers_algorithm_1() -> None:
    za, zb = embeddings(12, 5)
    method = method_of(CONFIGS["vicreg"])
    losses = method.loss({"z1": za, "z2": zb})
    a, b = za.numpy(), zb.numpy()
    invariance = ((a - b) ** 2).mean()
    variance = sum(np.maximum(0, 1 - np.sqrt(z.var(axis=0, ddof=1) + 1e-4)).mean() for z in (a, b))
    covariance = 0.0
    for z in (a, b):
        c = np.cov(z, rowvar=False)
        covariance += (c[~np.eye(5, dtype=bool)] ** 2).sum() / 5
    assert float(losses["invariance"]) == pytest.approx(invariance)
    assert float(losses["variance"]) == pytest.approx(variance)
    assert float(losses["covariance"]) == pytest.approx(covariance)
    assert float(losses["loss"]) == pytest.approx(25 * invariance + 25 * variance + covariance)


def test_vicreg_of_a_constant_has_only_the_variance_term() -> None:
    z = torch.ones(6, 3, dtype=torch.float64)
    losses = method_of(CONFIGS["vicreg"]).loss({"z1": z, "z2": z})
    assert float(losses["loss"]) == pytest.approx(25 * 2 * (1 - math.sqrt(1e-4)))


# ---- BYOL


def test_byol_equals_equations_2_and_3_and_its_closed_forms() -> None:
    (p1, p2), (z1, z2) = embeddings(6, 5), embeddings(6, 5, seed=1)
    method = method_of(CONFIGS["byol"])

    def distance(p: Tensor, z: Tensor) -> Tensor:
        p, z = p / p.norm(dim=1, keepdim=True), z / z.norm(dim=1, keepdim=True)
        return ((p - z) ** 2).sum(dim=1).mean()

    def loss(p1: Tensor, p2: Tensor, z1: Tensor, z2: Tensor) -> float:
        return float(method.loss({"p1": p1, "p2": p2, "z1": z1, "z2": z2})["loss"])

    assert loss(p1, p2, z1, z2) == pytest.approx(float(distance(p1, z2) + distance(p2, z1)))
    assert loss(z2, z1, z1, z2) == pytest.approx(0, abs=1e-12)
    assert loss(-z2, -3 * z1, z1, z2) == pytest.approx(8)  # opposite unit vectors are 2 apart, twice


# ---- MoCo v3


def test_moco_v3_equals_algorithm_1_with_cross_entropy_over_the_batch() -> None:
    (q1, q2), (k1, k2) = embeddings(6, 5), embeddings(6, 5, seed=1)

    def ctr(q: Tensor, k: Tensor) -> Tensor:
        q, k = q / q.norm(dim=1, keepdim=True), k / k.norm(dim=1, keepdim=True)
        logits = q @ k.T / 0.3
        return 2 * 0.3 * torch.nn.functional.cross_entropy(logits, torch.arange(len(q)))

    method = method_of(changed("moco_v3", temperature=0.3))
    loss = method.loss({"p1": q1, "p2": q2, "z1": k1, "z2": k2})["loss"]
    torch.testing.assert_close(loss, ctr(q1, k2) + ctr(q2, k1))


def test_moco_v3_of_a_constant_and_of_orthogonal_images() -> None:
    constant, apart = torch.ones(5, 4), torch.eye(5)
    on, without = method_of(CONFIGS["moco_v3"]), method_of(changed("moco_v3", negatives=False))

    def loss(method: Method, z: Tensor) -> float:
        return float(method.loss({"p1": z, "p2": z, "z1": z, "z2": z})["loss"])

    assert loss(on, constant) == pytest.approx(4 * 0.2 * math.log(5))
    assert loss(on, apart) == pytest.approx(4 * 0.2 * math.log(1 + 4 * math.exp(-1 / 0.2)))
    assert loss(without, constant) == pytest.approx(-4) == loss(without, apart)


# ---- DirectCLR


def test_directclr_is_simclrs_loss_on_the_first_channels() -> None:
    method = method_of(CONFIGS["directclr"])
    outputs = method.eval()(method.views(batch_for(method)))
    assert outputs["z1"].shape == (8, 3)
    expected = method_of(CONFIGS["simclr"]).loss(outputs)["loss"]
    torch.testing.assert_close(method.loss(outputs)["loss"], expected)
    representation = method.features(torch.randn(4, 3, 32, 32))
    torch.testing.assert_close(representation["embedding"], representation["representation"][:, :3])


def test_directclr_equals_the_papers_infonce_on_r_up_to_d0_written_plainly() -> None:
    r1, r2 = embeddings(5, 7)
    temperature, d0 = 0.3, 4
    first, second = (r.numpy()[:, :d0] for r in (r1, r2))  # algorithm 1: z = r[:, :d0], normalised
    z = np.concatenate([first, second])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    scores = np.exp(z @ z.T / temperature)
    positive = np.array([scores[i, (i + 5) % 10] for i in range(10)])
    expected = -np.log(positive / (scores.sum(1) - scores.diagonal())).mean()
    method = method_of(changed("directclr", subvector=d0, temperature=temperature))
    given = {"z1": r1[:, :d0], "z2": r2[:, :d0]}  # `forward` takes the first channels; another test holds it to that
    assert float(method.loss(given)["loss"]) == pytest.approx(expected, rel=1e-9)
    constant = {"z1": torch.ones(5, d0), "z2": torch.ones(5, d0)}
    assert float(method.loss(constant)["loss"]) == pytest.approx(math.log(9))  # every negative as near as the positive


def test_directclr_reaches_the_other_channels_through_the_shortcut_alone() -> None:
    for residual in (True, False):
        method = method_of(changed("directclr", residual=residual))
        method.loss(method(method.views(batch_for(method))))["loss"].backward()
        block = method.backbone.blocks[-1]  # type: ignore[union-attr]
        filters = block.conv2.weight.grad.abs().sum((1, 2, 3))
        assert filters[:3].min() > 0 and filters[3:].max() == 0  # no gradient reaches the last filters of the others
        below = method.backbone.blocks[0].conv2.weight.grad  # type: ignore[union-attr]
        assert below.abs().sum() > 0
        assert (sum(p.numel() for p in block.shortcut.parameters()) > 0) == residual
    images = torch.randn(4, 8, 4, 4)
    torch.testing.assert_close(block.shortcut(images) + images, images)


# ---- Barlow Twins


def test_barlow_twins_equals_equations_1_and_2_written_as_loops() -> None:
    za, zb = embeddings(12, 5)
    a, b = za.numpy() - za.numpy().mean(0), zb.numpy() - zb.numpy().mean(0)
    invariance = redundancy = 0.0
    for i in range(5):
        for j in range(5):
            c = (a[:, i] * b[:, j]).sum() / math.sqrt((a[:, i] ** 2).sum()) / math.sqrt((b[:, j] ** 2).sum())
            if i == j:
                invariance += (1 - c) ** 2
            else:
                redundancy += c**2
    losses = method_of(changed("barlow_twins", scale=1.0)).loss({"z1": za, "z2": zb})
    assert float(losses["loss"]) == pytest.approx(invariance + 0.0051 * redundancy)
    assert float(losses["invariance"]) == pytest.approx(invariance)
    assert float(losses["redundancy"]) == pytest.approx(redundancy)
    # Algorithm 1 divides by the unbiased std and by N: the same but for a factor (N - 1) / N on C.
    scaled = (za - za.mean(0)) / za.std(0), (zb - zb.mean(0)) / zb.std(0)
    torch.testing.assert_close(scaled[0].T @ scaled[1] / 12, barlow_twins.cross_correlation(za, zb) * 11 / 12)


def test_barlow_twins_of_known_correlations() -> None:
    design = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])  # centred, orthogonal columns
    repeated = design[:, :1].expand(-1, 3)

    def loss(z1: Tensor, z2: Tensor, **keys: float) -> float:
        return float(method_of(changed("barlow_twins", **keys)).loss({"z1": z1, "z2": z2})["loss"])

    assert loss(design, 2 * design + 1) == pytest.approx(0)
    assert loss(design, -design, scale=1.0) == pytest.approx(4 * 3)
    assert loss(repeated, repeated, scale=1.0) == pytest.approx(0.0051 * 6)
    assert loss(repeated, repeated, decorrelation=0.0) == pytest.approx(0)  # repeating costs nothing
    assert loss(repeated, repeated) == pytest.approx(0.1 * 0.0051 * 6)
