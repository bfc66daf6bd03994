"""Two views of an image, one answer."""

import pytest
import torch
from torch import nn

from atelier.training.consistency import MeanTeacher, pi_model


def test_the_pi_model_squares_the_difference_of_probabilities():
    one = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log()
    two = torch.tensor([[0.6, 0.4], [0.5, 0.5]]).log()
    loss, _ = pi_model([one, two], (), torch.arange(2))
    assert loss.item() == pytest.approx((0.2**2 + 0.2**2) / 4, rel=1e-4)


def test_the_teacher_is_an_average_that_forgets_its_start():
    model = nn.Linear(2, 2, bias=False)
    nn.init.zeros_(model.weight)
    loss = MeanTeacher(model, 0.9)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 3.0], start=1):
        nn.init.constant_(model.weight, value)
        loss.after_step(model)
        decay = min(0.9, 1 - 1 / (step + 1))
        expected = decay * expected + (1 - decay) * value
    assert loss.teacher.weight.flatten().tolist() == pytest.approx([expected] * 4)


def test_the_student_follows_what_the_teacher_says_of_the_other_view():
    model = nn.Linear(2, 2)
    loss = MeanTeacher(model, 0.9)
    views = (torch.randn(3, 2), torch.randn(3, 2))
    logits = model(views[0])
    value, _ = loss([logits], views, torch.arange(3))
    by_hand = (logits.softmax(1) - model(views[1]).softmax(1)).square().mean()
    assert value.item() == pytest.approx(by_hand.item())
    value.backward()
    assert model.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.teacher.parameters())
