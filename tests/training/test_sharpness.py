"""SAM and ASAM, against their equations by hand."""

import math

import pytest
import torch
from torch import nn

from atelier.training.sharpness import sharpness_aware

CURVATURE = (1.0, 4.0)


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -0.5]))


def stepped(*, adaptive, optimizer=torch.optim.SGD, **options):
    """The point after a step on half of w1^2 + 4 w2^2, and the losses that the step saw."""
    point, losses = Point(), []
    built = optimizer(point.parameters(), **{"lr": 0.1, **options})
    sharpness_aware(built, point, 0.3, adaptive=adaptive)

    def closure():
        built.zero_grad()
        loss = 0.5 * (torch.tensor(CURVATURE) * point.w**2).sum()
        loss.backward()
        losses.append(loss.item())
        return loss.detach()

    returned = built.step(closure)
    return point.w.tolist(), losses, float(returned)


def by_hand(*, adaptive):
    w = (1.0, -0.5)
    g = [c * x for c, x in zip(CURVATURE, w, strict=True)]
    t = [abs(x) + 0.01 if adaptive else 1.0 for x in w]
    norm = math.hypot(*(a * b for a, b in zip(t, g, strict=True)))
    worst = [x + 0.3 * a**2 * b / norm for x, a, b in zip(w, t, g, strict=True)]
    after = [x - 0.1 * c * y for x, c, y in zip(w, CURVATURE, worst, strict=True)]
    return after, 0.5 * sum(c * y**2 for c, y in zip(CURVATURE, worst, strict=True))


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_step_uses_the_gradient_of_the_worst_point_nearby(adaptive):
    found, losses, returned = stepped(adaptive=adaptive)
    expected, worst = by_hand(adaptive=adaptive)
    assert found == pytest.approx(expected, abs=1e-6)
    assert losses == pytest.approx([1.0, worst], abs=1e-6)
    assert returned == 1.0  # at the weights themselves


def test_every_optimizer_gets_the_same_gradient():
    found, _, _ = stepped(adaptive=False, optimizer=torch.optim.Adam)
    assert found == pytest.approx([0.9, -0.4], abs=1e-5)  # Adam's first step is of size lr


def test_batch_norms_see_the_first_pass_alone():
    torch.manual_seed(0)
    images = torch.randn(8, 4)
    networks = []
    for aware in (False, True):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        if aware:
            sharpness_aware(optimizer, network, 0.5, adaptive=False)

        def closure(network=network, optimizer=optimizer):
            optimizer.zero_grad()
            loss = network(images).square().mean()
            loss.backward()
            return loss.detach()

        optimizer.step(closure)
        networks.append(network)
    plain, aware = networks
    for (name, left), right in zip(plain[1].named_buffers(), aware[1].buffers(), strict=True):
        assert torch.equal(left, right), name
    assert aware[1].track_running_stats
    assert not torch.equal(plain[0].weight, aware[0].weight)


def test_weights_are_put_back_when_the_second_pass_fails():
    point, calls = Point(), []
    optimizer = torch.optim.SGD(point.parameters(), lr=0.1)
    sharpness_aware(optimizer, point, 0.3, adaptive=False)

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        point.w.square().sum().backward()
        return torch.tensor(0.0)

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert point.w.tolist() == [1.0, -0.5]
