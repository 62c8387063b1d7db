"""Each loss against a closed form and against the paper's pseudo-code, written plainly here."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from collapselab.config.training import EMA, ResNet, ViT
from collapselab.data.loader import Batch
from collapselab.methods import METHODS, build, simclr, simsiam, supervised, token_distillation, vicreg
from collapselab.methods.base import Method, Progress, Softmax
from collapselab.methods.momentum import cosine_between, kept, move_towards

RESNET = ResNet(architecture="resnet", widths=[4, 8], blocks=[1, 1], stem_stride=2)
VIT = ViT(architecture="vit", patch=8, width=16, depth=1, heads=2, mlp=32, dropout=0.1)
COMMON = {"backbone": "b", "augmentation": "a", "epochs": 1}


def method_of(config: object) -> Method:
    torch.manual_seed(0)
    backbone = VIT if isinstance(config, token_distillation.TokenDistillationConfig) else RESNET
    return build(config, backbone, 32, 10)  # type: ignore[arg-type]


def batch_for(method: Method, count: int = 8) -> Batch:
    rng = torch.Generator().manual_seed(1)
    images = {
        branch: [torch.randn(count, 3, 32, 32, generator=rng) for _ in range(views)]
        for branch, views in method.branches.items()
    }
    labels = torch.arange(count) % 10
    return Batch(images, labels, lambda purpose, columns: torch.rand(count, columns, generator=rng))


def embeddings(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64), torch.randn(
        *shape, generator=rng, dtype=torch.float64
    )


CONFIGS = {
    "simsiam": simsiam.SimSiamConfig(method="simsiam", projector=[16, 16], predictor_hidden=4, **COMMON),
    "simclr": simclr.SimCLRConfig(method="simclr", projector=[16, 8], **COMMON),
    "vicreg": vicreg.VICRegConfig(method="vicreg", projector=[16, 8], **COMMON),
    "supervised": supervised.SupervisedConfig(method="supervised", **COMMON),
    "token_distillation": token_distillation.TokenDistillationConfig(
        method="token_distillation", head=[8, 8, 6], **COMMON
    ),
}


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_declares_what_the_rest_relies_on(name: str) -> None:
    method = method_of(CONFIGS[name])
    layers = method.eval().features(torch.randn(4, 3, 32, 32))
    assert {method.representation, *method.loss_layers} <= set(layers)
    assert set(method.softmaxes()) <= set(layers)
    losses = method.train().loss(method(method.views(batch_for(method))))
    assert losses["loss"].ndim == 0 and losses["loss"].requires_grad
    for guard in method.guards:
        assert guard.source and guard.parameter in type(CONFIGS[name]).model_fields
        assert set(guard.expected) <= set(layers)
    assert method.guards or method.supervised


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_trained_parameter_is_in_exactly_one_group(name: str) -> None:
    method = method_of(CONFIGS[name])
    grouped = [id(p) for group in method.parameter_groups() for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in method.parameters() if p.requires_grad)


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
    method_of(CONFIGS["simsiam"].model_copy(update={"stop_gradient": False})).loss(outputs)["loss"].backward()
    assert z1.grad is not None and z1.grad.abs().sum() > 0


def test_without_a_predictor_stop_gradient_exactly_halves_simsiams_gradient() -> None:
    gradients = []
    for stop in (True, False):
        config = CONFIGS["simsiam"].model_copy(update={"stop_gradient": stop, "predictor": "identity"})
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
    method = method_of(CONFIGS["simclr"].model_copy(update={"temperature": temperature}))
    assert float(method.loss({"z1": z1, "z2": z2})["loss"]) == pytest.approx(total / 10, rel=1e-9)


def test_simclr_of_a_constant_is_the_log_of_the_negatives() -> None:
    z = torch.ones(5, 4)
    assert float(method_of(CONFIGS["simclr"]).loss({"z1": z, "z2": z})["loss"]) == pytest.approx(math.log(9))
    off = method_of(CONFIGS["simclr"].model_copy(update={"negatives": False}))
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


# ---- token distillation


def test_token_distillation_equals_its_formula_and_splits_into_entropy_and_kl() -> None:
    student, teacher = embeddings(3, 4 * 6)
    student, teacher = student.view(3, 4, 6), teacher.view(3, 4, 6)
    config = CONFIGS["token_distillation"].model_copy(
        update={"student_temperature": 0.5, "teacher_temperature": 0.25, "centering": True}
    )
    method = method_of(config)
    method.centre = torch.linspace(-1, 1, 6, dtype=torch.float64)
    losses = method.loss({"student": student, "teacher": teacher})
    s, t = student.numpy() / 0.5, (teacher.numpy() - np.linspace(-1, 1, 6)) / 0.25
    p = np.exp(t) / np.exp(t).sum(-1, keepdims=True)
    log_q = s - np.log(np.exp(s).sum(-1, keepdims=True))
    assert float(losses["loss"]) == pytest.approx(-(p * log_q).sum(-1).mean())
    assert float(losses["teacher_entropy"]) == pytest.approx(-(p * np.log(p)).sum(-1).mean())
    assert float(losses["kl"]) == pytest.approx((p * (np.log(p) - log_q)).sum(-1).mean())


def test_uniform_outputs_sit_at_ln_k() -> None:
    zeros = torch.zeros(2, 4, 6)
    assert float(
        method_of(CONFIGS["token_distillation"]).loss({"student": zeros, "teacher": zeros})["loss"]
    ) == pytest.approx(math.log(6))


@pytest.mark.parametrize("teacher", ["sgd", "frozen", "copy", "ema"])
def test_each_teacher_moves_as_it_says(teacher: str) -> None:
    method = method_of(
        CONFIGS["token_distillation"].model_copy(update={"teacher": teacher, "ema": EMA(start=0.9, end=0.9)})
    )
    start = [p.clone() for p in method.teacher.parameters()]
    losses = method.loss(method(method.views(batch_for(method))))
    losses["loss"].backward()
    with_gradient = [p.grad is not None for p in method.teacher.parameters()]
    assert all(with_gradient) if teacher == "sgd" else not any(with_gradient)
    method.after_step(Progress(1, 10))
    after = list(method.teacher.parameters())
    for old, new, student in zip(start, after, method.student.parameters(), strict=True):
        expected = 0.9 * old + 0.1 * student if teacher == "ema" else old
        torch.testing.assert_close(new, expected)
    method.after_epoch()
    moved = all(
        torch.equal(a, b) for a, b in zip(method.teacher.parameters(), method.student.parameters(), strict=True)
    )
    assert moved == (teacher == "copy")


def test_teacher_and_student_start_apart_unless_asked() -> None:
    for same in (True, False):
        method = method_of(CONFIGS["token_distillation"].model_copy(update={"same_start": same}))
        pairs = zip(method.student.parameters(), method.teacher.parameters(), strict=True)
        equal = [torch.equal(a, b) for a, b in pairs if a.ndim > 1]
        assert all(equal) if same else not any(equal)


def test_the_centre_is_a_moving_average_of_teacher_logits() -> None:
    method = method_of(CONFIGS["token_distillation"].model_copy(update={"centering": True, "centre_momentum": 0.9}))
    outputs = method(method.views(batch_for(method)))
    method.loss(outputs)
    method.after_step(Progress(1, 10))
    torch.testing.assert_close(method.centre, 0.1 * outputs["teacher"].mean((0, 1)))


def test_the_notebooks_network_has_its_number_of_parameters() -> None:
    config = token_distillation.TokenDistillationConfig(method="token_distillation", **COMMON)
    vit = ViT(architecture="vit", patch=4, width=256, depth=6, heads=4, mlp=1024, dropout=0.1)
    method = build(config, vit, 32, 10)
    assert sum(p.numel() for p in method.student.parameters()) == 9_753_472
    resnet18 = ResNet(architecture="resnet", widths=[64, 128, 256, 512], blocks=[2, 2, 2, 2])
    assert (
        sum(p.numel() for p in build(CONFIGS["supervised"], resnet18, 32, 10).parameters()) == 11_173_962
    )  # torch's own, CIFAR stem


# ---- shared parts


def test_softmax_subtracts_the_centre_and_divides_by_the_temperature() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    out = Softmax(0.5, torch.tensor([1.0, 1.0, 1.0]))(logits)
    torch.testing.assert_close(out, torch.tensor([[0.0, 1.0, 3.0]]).div(0.5).softmax(-1))


def test_ema_and_its_schedule() -> None:
    a, b = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = 0.7 * a.weight + 0.3 * b.weight
    move_towards(a, b, 0.7)
    torch.testing.assert_close(a.weight, expected)
    assert kept(EMA(start=0.996, end=1.0), Progress(5, 10)) == pytest.approx(0.998)
    halved = EMA(half_life=0.2)  # after a fifth of the run, half of the average is new, whatever its length
    for steps in (10, 1000):
        assert kept(halved, Progress(1, steps)) ** (0.2 * steps) == pytest.approx(0.5)
    assert cosine_between(0.996, 1.0, 0.0) == pytest.approx(0.996)
    assert cosine_between(0.996, 1.0, 0.5) == pytest.approx(0.998)
    assert cosine_between(0.996, 1.0, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["simsiam", "simclr", "vicreg"])
def test_gradients_agree_with_numerical_ones(name: str) -> None:
    config = CONFIGS[name].model_copy(update={"stop_gradient": False} if name == "simsiam" else {})
    method = method_of(config)
    inputs = [t.requires_grad_() for seed in (0, 1) for t in embeddings(4, 3, seed=seed)]
    names = ("p1", "p2", "z1", "z2") if name == "simsiam" else ("z1", "z2")
    assert torch.autograd.gradcheck(
        lambda *x: method.loss(dict(zip(names, x, strict=False)))["loss"], inputs[: len(names)]
    )
