"""DINO: loss, head, centre, temperatures, teachers."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tests.methods.helpers import CONFIGS, VIT, batch_for, changed, embeddings, method_of
from torch import Tensor

from collapselab.methods.base import Progress
from collapselab.methods.dino import DINOHead


def test_dino_equals_algorithm_1() -> None:
    (s1, s2), (t1, t2) = embeddings(5, 6), embeddings(5, 6, seed=1)
    centre = torch.linspace(-1, 1, 6, dtype=torch.float64)

    def h(t: Tensor, s: Tensor) -> Tensor:  # the paper's H(t, s), tps 0.1 and tpt 0.04
        s = torch.softmax(s / 0.1, dim=1)
        t = torch.softmax((t - centre) / 0.04, dim=1)
        return -(t * torch.log(s)).sum(dim=1).mean()

    method = method_of(changed("dino", teacher_temperature=0.04, temperature_warmup=0.0))
    method.centre = centre
    losses = method.loss({"s1": s1, "s2": s2, "t1": t1, "t2": t2})
    expected = h(t1, s2) / 2 + h(t2, s1) / 2
    assert float(losses["loss"]) == pytest.approx(
        float(expected), rel=1e-6
    )  # the temperature is held in single precision
    assert float(losses["teacher_entropy"] + losses["kl"]) == pytest.approx(float(losses["loss"]))


def test_equal_outputs_of_all_prototypes_sit_at_ln_k() -> None:
    zeros = torch.zeros(3, 6)
    outputs = dict.fromkeys(("s1", "s2", "t1", "t2"), zeros)
    assert float(method_of(CONFIGS["dino"]).loss(outputs)["loss"]) == pytest.approx(math.log(6))


def test_the_centre_is_a_moving_average_of_both_views_teacher_logits_and_part_of_the_state() -> None:
    method = method_of(CONFIGS["dino"])
    outputs = method(method.views(batch_for(method)))
    method.loss(outputs)
    method.after_step(Progress(1, 100))
    expected = 0.1 * torch.cat([outputs["t1"], outputs["t2"]]).mean(0)
    torch.testing.assert_close(method.centre, expected)
    torch.testing.assert_close(method.state_dict()["centre"], expected)
    assert torch.equal(method.softmaxes()["teacher.logits"].centre, method.centre)  # type: ignore[arg-type]
    assert method_of(changed("dino", centering=False)).softmaxes()["teacher.logits"].centre is None


def test_the_teachers_temperature_warms_up_and_is_what_snapshots_read() -> None:
    method = method_of(changed("dino", temperature_warmup=0.5))
    seen = [method.softmaxes()["teacher.logits"].temperature]
    for step in range(1, 5):
        method.after_step(Progress(step, 4))
        seen.append(method.softmaxes()["teacher.logits"].temperature)
    assert seen == pytest.approx([0.04, 0.055, 0.07, 0.07, 0.07])
    flat = method_of(changed("dino", sharpening=False))
    flat.after_step(Progress(1, 4))
    assert flat.softmaxes()["teacher.logits"].temperature == pytest.approx(0.1)


def test_the_previous_epochs_teacher_moves_at_an_epochs_end_only() -> None:
    method = method_of(changed("dino", teacher="epoch"))
    with torch.no_grad():
        for p in method.student.parameters():
            p.add_(1.0)
    pairs = list(zip(method.student.parameters(), method.teacher.parameters(), strict=True))
    method.after_step(Progress(1, 10))
    assert not any(torch.equal(a, b) for a, b in pairs)
    method.after_epoch()
    assert all(torch.equal(a, b) for a, b in pairs)


def test_outputs_are_cosines_with_the_prototypes() -> None:
    head = DINOHead(5, [8, 8, 4], 6)
    x = torch.randn(3, 5)
    z = head.mlp(x)
    for i in range(3):
        for k in range(6):
            cosine = float(F.cosine_similarity(z[i], head.prototypes[k], dim=0).detach())
            assert float(head(x)[i, k].detach()) == pytest.approx(cosine, abs=1e-6)


def test_a_vits_representation_is_its_cls_token() -> None:
    method = method_of(CONFIGS["dino"], VIT).eval()
    images = torch.randn(2, 3, 32, 32)
    layers = method.features(images)
    torch.testing.assert_close(layers["student.representation"], method.student[0](images)[:, 0])  # type: ignore[index]
    assert layers["teacher.logits"].shape == (2, 6)
