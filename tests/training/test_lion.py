"""Lion, against its algorithm by hand."""

import pytest
import torch

from atelier.training.lion import Lion


def test_three_steps_are_those_of_the_paper():
    weight = torch.tensor([1.0, -2.0], requires_grad=True)
    optimizer = Lion([weight], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    by_hand, momentum = [1.0, -2.0], [0.0, 0.0]
    for gradients in ([0.5, -0.1], [-0.001, 0.2], [3.0, 0.0]):
        weight.grad = torch.tensor(gradients)
        optimizer.step()
        for i, gradient in enumerate(gradients):
            direction = 0.9 * momentum[i] + 0.1 * gradient
            sign = (direction > 0) - (direction < 0)
            by_hand[i] = by_hand[i] * (1 - 0.1 * 0.5) - 0.1 * sign
            momentum[i] = 0.99 * momentum[i] + 0.01 * gradient
        assert weight.tolist() == pytest.approx(by_hand, abs=1e-6)
    # The small gradient of the second step has not turned the first weight around.
    assert optimizer.state[weight]["momentum"].tolist() == pytest.approx(momentum, abs=1e-6)


def test_a_weight_without_a_gradient_stays():
    weight, idle = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimizer = Lion([weight, idle], lr=0.1, weight_decay=0.5)
    weight.grad = torch.ones(2)
    assert optimizer.step(lambda: torch.tensor(3.0)) == 3
    assert idle.tolist() == [1, 1]
    assert weight.tolist() == pytest.approx([0.85, 0.85])
