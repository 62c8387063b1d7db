"""The theorems of arXiv 2110.09348, sections 4 and 5, each held to a closed form, a conservation law or finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from collapselab.randomness import generator
from collapselab.toys.flow import alignment, imbalance, integrate, one_layer, rates, shared, velocity
from collapselab.toys.infonce import Float, Pairs, contrast, gradients, softmax
from collapselab.toys.network import Network, descend

DIM = 6
LINEAR = [(1, False), (2, False), (3, False), (4, False)]


@pytest.fixture
def pairs() -> Pairs:
    return Pairs.draw(40, np.ones(DIM), np.linspace(0.0, 2.0, DIM), generator(0, "test/pairs"))


def weights(depth: int, scale: float = 0.3) -> list[Float]:
    return [scale * generator(1, "test/weights", layer).standard_normal((DIM, DIM)) for layer in range(depth)]


def symmetric(eigenvalues: list[float]) -> tuple[Float, Float]:
    """A symmetric matrix of these eigenvalues, and its eigenvectors as columns."""
    basis = np.linalg.qr(generator(2, "test/basis").standard_normal((DIM, DIM)))[0]
    return (basis * np.array(eigenvalues)) @ basis.T, basis


def aligned(first: Float, second: Float) -> tuple[list[Float], Float]:
    """W_1 and W_2 of these singular values with V_2 = U_1, and V_1."""
    u1, v1, u2 = (np.linalg.qr(generator(3, "test/aligned", i).standard_normal((DIM, DIM)))[0] for i in range(3))
    return [(u1 * first) @ v1.T, (u2 * second) @ u1.T], v1


def infonce(z: torch.Tensor, augmented: torch.Tensor) -> torch.Tensor:
    """Equation 1, word for word, as a mean over images."""
    losses = []
    for i in range(len(z)):
        positive = torch.exp(-((z[i] - augmented[i]) ** 2).sum() / 2)
        negatives = sum(torch.exp(-((z[i] - z[j]) ** 2).sum() / 2) for j in range(len(z)) if j != i)
        losses.append(-torch.log(positive / (negatives + positive)))
    return torch.stack(losses).mean()


def test_samples_have_exactly_the_covariances_that_were_asked_for(pairs: Pairs) -> None:
    differences = (pairs.clean[:, None] - pairs.clean[None]).reshape(-1, DIM)
    shift = pairs.augmented - pairs.clean
    np.testing.assert_allclose(differences.T @ differences / len(differences), np.eye(DIM), atol=1e-12)
    np.testing.assert_allclose(shift.T @ shift / len(shift), np.diag(np.linspace(0, 2, DIM)), atol=1e-12)
    np.testing.assert_allclose(shift.T @ pairs.clean, 0, atol=1e-10)


def test_noise_in_both_views_cancels_from_x() -> None:
    """Where the negatives carry the noise too, X begins as the data's covariance (up to the 1/N of the positive pair)."""
    pairs = Pairs.draw(40, np.ones(DIM), np.linspace(0.0, 2.0, DIM), generator(0, "test/pairs"), both=True)
    alpha, _ = softmax(0 * pairs.clean, 0 * pairs.augmented)
    data, noise = contrast(alpha, pairs)
    np.testing.assert_allclose(data - noise, np.eye(DIM) + np.diag(np.linspace(0, 2, DIM)) / 40, atol=1e-12)


def test_the_loss_and_its_gradients_are_those_of_equation_1(pairs: Pairs) -> None:
    z, augmented = (torch.tensor(x, requires_grad=True) for x in (pairs.clean, pairs.augmented))
    loss = infonce(z, augmented)
    loss.backward()
    alpha, ours = softmax(pairs.clean, pairs.augmented)
    assert ours == pytest.approx(loss.item(), rel=1e-12)
    for mine, theirs in zip(gradients(alpha, pairs.clean, pairs.augmented), (z.grad, augmented.grad), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-14)


def test_far_away_embeddings_overflow_nothing(pairs: Pairs) -> None:
    alpha, loss = softmax(1e4 * pairs.clean, 1e4 * pairs.augmented)
    assert np.isfinite(alpha).all() and np.isfinite(loss) and loss > 0


@pytest.mark.parametrize(("depth", "relu"), [*LINEAR, (2, True), (4, True)])
def test_a_networks_gradient_is_autograds(pairs: Pairs, depth: int, relu: bool) -> None:
    network = Network(weights(depth), relu)
    found, loss = network.backward(pairs)
    parameters = [torch.tensor(weight, requires_grad=True) for weight in network.weights]
    outputs = []
    for x in (torch.tensor(pairs.clean), torch.tensor(pairs.augmented)):
        for place, weight in enumerate(parameters, 1):
            x = x @ weight.T
            x = torch.relu(x) if relu and place < depth else x
        outputs.append(x)
    theirs = infonce(*outputs)
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    for mine, parameter in zip(found, parameters, strict=True):
        np.testing.assert_allclose(mine, parameter.grad, atol=1e-14)


@pytest.mark.parametrize("depth", [depth for depth, _ in LINEAR])
def test_lemma_2_the_gradient_is_minus_w_x(pairs: Pairs, depth: int) -> None:
    network = Network(weights(depth))
    alpha, _ = softmax(network.embed(pairs.clean), network.embed(pairs.augmented))
    data, noise = contrast(alpha, pairs)
    for gradient, slope in zip(network.backward(pairs)[0], velocity(network.weights, data - noise), strict=True):
        np.testing.assert_allclose(-gradient, slope, atol=1e-13)


def test_x_begins_as_the_difference_of_the_covariances(pairs: Pairs) -> None:
    """Embeddings of size 0 give every alpha 1/N: X is data less augmentation, with eigenvalues 1 - k (1 - 1/N)."""
    alpha, loss = softmax(0 * pairs.clean, 0 * pairs.augmented)
    data, noise = contrast(alpha, pairs)
    # The data's pairs i != j hold all of the covariance, weighted 1/N; each positive pair is weighted 1 - 1/N.
    np.testing.assert_allclose(data, np.eye(DIM), atol=1e-12)
    np.testing.assert_allclose(noise, np.diag(np.linspace(0, 2, DIM)) * 39 / 40, atol=1e-12)
    assert loss == pytest.approx(np.log(40))


def test_one_layer_vanishes_exactly_where_x_is_negative() -> None:
    x, basis = symmetric([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    start, time = weights(1)[0], 3.0
    change = np.linalg.norm(one_layer(start, x, time) @ basis, axis=0) / np.linalg.norm(start @ basis, axis=0)
    np.testing.assert_allclose(change, np.exp(time * np.array([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0])), rtol=1e-10)
    np.testing.assert_allclose(integrate([start], x, time, 400)[0], one_layer(start, x, time), atol=1e-8)


def test_the_determinant_grows_by_the_trace_of_x() -> None:
    """Liouville: d log|det W| / dt = tr X for a single layer, whatever the start."""
    x, _ = symmetric([-2.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    logs = [np.linalg.slogdet(weight)[1] for weight in (weights(1)[0], integrate(weights(1), x, 2.0, 400)[0])]
    assert logs[1] - logs[0] == pytest.approx(2.0 * np.trace(x), abs=1e-7)


@pytest.mark.parametrize("eigenvalues", [[0.2, 0.4, 0.6, 0.8, 1.0, 1.2], [-1.0, -0.5, 0.0, 0.3, 0.6, 0.9]])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_imbalance_of_adjacent_layers_is_conserved_to_the_integrators_order(
    depth: int, eigenvalues: list[float]
) -> None:
    x, start = symmetric(eigenvalues)[0], weights(depth)

    def drift(steps: int) -> float:
        end = integrate(start, x, 0.1, steps)  # singular values of two layers and more reach infinity soon after
        return max(
            float(np.abs(imbalance(*end[i : i + 2]) - imbalance(*start[i : i + 2])).max()) for i in range(depth - 1)
        )

    coarse, fine = drift(4), drift(8)
    # The error falls with the fourth power of the step; half a power of slack for what lies above it.
    assert fine < 1e-4 and np.log2(coarse / fine) > 3.5


def test_aligned_layers_conserve_s1_squared_less_s2_squared_and_stay_aligned() -> None:
    first, second = np.array([0.9, 0.8, 0.7, 0.5, 0.3, 0.1]), np.array([0.85, 0.65, 0.5, 0.45, 0.2, 0.15])
    start, v1 = aligned(first, second)
    x = (v1 * np.array([1.2, 1.0, 0.9, 0.8, 0.7, 0.6])) @ v1.T  # v1 diagonalises X, so alignment lasts
    end = integrate(start, x, 0.3, 200)
    grown = [np.linalg.svd(weight, compute_uv=False) for weight in end]
    np.testing.assert_allclose(grown[0] ** 2 - grown[1] ** 2, first**2 - second**2, atol=1e-9)
    np.testing.assert_allclose(alignment(*end), np.eye(DIM), atol=1e-6)


def test_theorem_3_gives_the_growth_of_singular_values() -> None:
    """Under an X of any eigenvectors: finite differences of the flow's singular values."""
    first, second = np.array([1.5, 1.2, 0.9, 0.6, 0.4, 0.2]), np.array([1.3, 1.1, 0.8, 0.7, 0.35, 0.1])
    start, v1 = aligned(first, second)
    x, _ = symmetric([0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    expected = rates(first, second, np.diag(v1.T @ x @ v1))
    step = 1e-5
    for layer in range(2):
        ahead, behind = (np.linalg.svd(integrate(start, x, time, 1)[layer], compute_uv=False) for time in (step, -step))
        np.testing.assert_allclose((ahead - behind) / (2 * step), expected[layer], rtol=1e-7)


def grow(start: list[Float], x: Float, times: float) -> list[Float]:
    """The flow until W_1's norm is `times` that of the start, just before the time at which a fixed X takes it to infinity."""
    now, size = start, np.linalg.norm(start[0], 2)
    while np.linalg.norm(now[0], 2) < times * size:
        # Growth is cubic in the singular values: steps that shrink with their square lengthen each by the same factor.
        now = integrate(now, x, 0.02 / np.linalg.norm(now[0], 2) ** 2, 1)
    return now


@pytest.mark.parametrize("seed", range(3))
def test_theorem_2_under_a_positive_x_the_whole_of_v2t_u1_becomes_the_identity(seed: int) -> None:
    """Small weights of unrelated bases, all singular values distinct but near, so that a fixed X takes all of them up together."""

    def basis(place: int) -> Float:
        return np.linalg.qr(generator(seed, "test/theorem-2", place).standard_normal((DIM, DIM)))[0]

    def error(spread: float) -> float:
        x = (basis(4) * np.linspace(1, 1 + spread, DIM)) @ basis(4).T
        start = [0.01 * (basis(i) * np.linspace(1 + spread, 1, DIM)) @ basis(i + 2).T for i in range(2)]
        end = grow(start, x, 100)
        for before, after in zip(start, end, strict=True):
            grown = np.linalg.svd(after, compute_uv=False) / np.linalg.svd(before, compute_uv=False)
            assert grown.min() > 4, "nothing is left behind"
        assert np.diag(alignment(*start)).max() < 0.95, "nothing is aligned to begin with"
        return float(np.abs(alignment(*end) - np.eye(DIM)).max())

    coarse, fine = error(0.02), error(0.01)
    assert fine < 2e-3
    # The imbalance is of the order of the spread; squares grow by one over it and their gaps, which begin as the spread, by the
    # square of that. So the error is of second order, and half the spread leaves about a quarter of it.
    assert fine < coarse / 3


@pytest.mark.parametrize("eigenvalues", [[0.5, 0.7, 0.9, 1.1, 1.3, 1.5], [-1.0, -0.5, 0.0, 0.3, 0.6, 0.9]])
def test_theorem_2_what_is_not_aligned_is_the_first_imbalance_over_the_gap_of_the_squares(
    eigenvalues: list[float],
) -> None:
    """(s_2j^2 - s_1i^2) v_j^T u_i = -v_j^T D u_i of the D of the start, for every pair: X, of either sign, only makes the gaps."""
    start = weights(2, scale=0.05)
    end = grow(start, symmetric(eigenvalues)[0], 100)
    (u1, s1, _), (_, s2, v2) = (np.linalg.svd(weight) for weight in end)
    gaps = np.abs(s2[:, None] ** 2 - s1**2)
    conserved = imbalance(*start)
    np.testing.assert_allclose(alignment(*end) * gaps, np.abs(v2 @ conserved @ u1), atol=1e-3 * np.abs(conserved).max())
    # From Gaussian weights a fixed X takes the leading pair to infinity before the others: that one aligns, with row and column.
    leading = np.eye(DIM)[0]
    assert np.diag(alignment(*start))[0] < 0.9
    np.testing.assert_allclose(alignment(*end)[0], leading, atol=1e-3)
    np.testing.assert_allclose(alignment(*end)[:, 0], leading, atol=1e-3)


def test_equal_singular_values_leave_the_basis_open_and_not_the_span() -> None:
    """Theorem 2 asks for distinct singular values: where three are equal any rotation among them is a decomposition as well."""
    turned = np.eye(DIM)
    turned[:3, :3] = np.linalg.qr(generator(5, "test/turned").standard_normal((3, 3)))[0]
    assert np.diag(np.abs(turned)).min() < 0.9
    assert shared(np.abs(turned), 3) == pytest.approx(1) and shared(np.abs(turned), 2) < 1
    assert shared(np.abs(np.eye(DIM)[::-1]), 3) == pytest.approx(0), "the last three are orthogonal to the first"


def test_balanced_layers_are_aligned_from_the_first() -> None:
    """W_1 W_1^T = W_2^T W_2 at the start is conserved, and equal matrices have equal eigenvectors."""
    w1 = weights(1)[0]
    u, s, _ = np.linalg.svd(w1)
    w2 = (np.linalg.qr(generator(4, "test/balanced").standard_normal((DIM, DIM)))[0] * s) @ u.T
    x, _ = symmetric([0.5, 0.7, 0.9, 1.1, 1.3, 1.5])
    end = integrate([w1, w2], x, 0.1, 100)
    np.testing.assert_allclose(imbalance(*end), 0, atol=1e-8)
    np.testing.assert_allclose(alignment(*end)[:3, :3], np.eye(3), atol=1e-3)


def test_gradient_descent_keeps_the_imbalance_to_first_order_in_its_rate(pairs: Pairs) -> None:
    """InfoNCE's own X moves and changes sign; the conservation law holds all the same."""
    start = Network(weights(2))

    def drift(rate: float) -> float:
        end = descend(start, pairs, rate, round(4 / rate), lambda *_: None)
        return float(np.abs(imbalance(*end.weights) - imbalance(*start.weights)).max())

    assert drift(0.02) / drift(0.01) == pytest.approx(2, rel=0.1)
