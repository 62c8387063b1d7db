"""Token distillation: the loss, the four teachers, the centre."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.methods.helpers import CONFIGS, batch_for, changed, embeddings, method_of, regime

from collapselab.config.training import EMA, ResNet, ViT
from collapselab.methods import METHODS, build
from collapselab.methods.base import Progress


def test_token_distillation_equals_its_formula_and_splits_into_entropy_and_kl() -> None:
    student, teacher = embeddings(3, 4 * 6)
    student, teacher = student.view(3, 4, 6), teacher.view(3, 4, 6)
    config = changed("token_distillation", student_temperature=0.5, teacher_temperature=0.25, centering=True)
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
    method = method_of(changed("token_distillation", teacher=teacher, ema=EMA(start=0.9, end=0.9)))
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
        method = method_of(changed("token_distillation", same_start=same))
        pairs = zip(method.student.parameters(), method.teacher.parameters(), strict=True)
        equal = [torch.equal(a, b) for a, b in pairs if a.ndim > 1]
        assert all(equal) if same else not any(equal)


def test_the_centre_is_a_moving_average_of_teacher_logits() -> None:
    method = method_of(changed("token_distillation", centering=True, centre_momentum=0.9))
    outputs = method(method.views(batch_for(method)))
    method.loss(outputs)
    method.after_step(Progress(1, 10))
    torch.testing.assert_close(method.centre, 0.1 * outputs["teacher"].mean((0, 1)))


def test_the_notebooks_network_has_its_number_of_parameters() -> None:
    config = regime("token_distillation")
    vit = ViT(architecture="vit", patch=4, width=256, depth=6, heads=4, mlp=1024, dropout=0.1)
    method = build(config, vit, 32, 10)
    assert sum(p.numel() for p in method.student.parameters()) == 9_753_472
    resnet18 = ResNet(architecture="resnet", widths=[64, 128, 256, 512], blocks=[2, 2, 2, 2])
    assert (
        sum(p.numel() for p in build(CONFIGS["supervised"], resnet18, 32, 10).parameters()) == 11_173_962
    )  # torch's own, CIFAR stem


def test_both_distillations_declare_centring_and_sharpening_alike() -> None:
    ours, dino = ({guard.name: guard for guard in METHODS[name].guards} for name in ("token_distillation", "dino"))
    for name in ("centering", "sharpening"):
        assert (ours[name].expected, ours[name].source) == (dino[name].expected, dino[name].source)
    assert ours["sharpening"].parameter == "teacher_temperature" and dino["sharpening"].parameter == "sharpening"
