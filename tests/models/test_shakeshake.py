"""Shake-Shake: the sum on the way forward, on the way back and in evaluation, computed by hand."""

import pytest
import torch
from torch.func import functional_call

from atelier.config import ShakeShakeConfig
from atelier.models import build_model, model_cost
from atelier.models.shakeshake import Shake, ShakeShakeBlock, Shortcut


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


def test_the_shares_of_both_ways_by_hand():
    first = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    second = torch.tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
    out = Shake.apply(first, second, torch.tensor([[0.25], [1.0]]), torch.tensor([[0.5], [0.1]]))
    assert torch.allclose(out, torch.tensor([[4.0, 5.0], [3.0, 4.0]]))
    out.backward(torch.tensor([[1.0, 10.0], [2.0, 20.0]]))
    assert torch.allclose(first.grad, torch.tensor([[0.5, 5.0], [0.2, 2.0]]))
    assert torch.allclose(second.grad, torch.tensor([[0.5, 5.0], [1.8, 18.0]]))


def branches_of(block, x):
    return [branch(x) for branch in block.branches]


def test_in_evaluation_each_branch_has_half():
    block = ShakeShakeBlock(4, 4, 1).eval()
    x = torch.randn(2, 4, 5, 5)
    first, second = branches_of(block, x)
    assert torch.allclose(block(x), x + (first + second) / 2)
    assert torch.equal(block(x), block(x))


def test_in_training_each_image_has_a_share_of_its_own():
    block = ShakeShakeBlock(4, 4, 1)
    x = torch.randn(64, 4, 5, 5)
    first, second = branches_of(block, x)
    # What is added is second + share * (first - second): solve for the share.
    added, difference = block(x) - x - second, first - second
    shares = (added * difference).sum((1, 2, 3)) / difference.square().sum((1, 2, 3))
    assert torch.allclose(added, shares.view(-1, 1, 1, 1) * difference, atol=1e-4)
    assert ((shares > -1e-4) & (shares < 1 + 1e-4)).all()
    assert len(set(shares.tolist())) == 64
    assert shares.mean().item() == pytest.approx(0.5, abs=0.12)


def test_the_shares_follow_from_the_seed():
    block = ShakeShakeBlock(2, 2, 1)
    x = torch.randn(3, 2, 4, 4)

    def once(seed):
        torch.manual_seed(seed)
        return functional_call(block, dict(block.state_dict()), x)

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_the_shortcut_looks_at_two_shifted_grids():
    shortcut = Shortcut(1, 2, 2).eval()
    with torch.no_grad():
        shortcut.here.weight.fill_(1)
        shortcut.beside.weight.fill_(1)
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    here, beside = shortcut(x)[0] * (1 + shortcut.norm.eps) ** 0.5
    assert torch.allclose(here, torch.tensor([[1.0, 3.0], [9.0, 11.0]]))
    assert torch.allclose(beside, torch.tensor([[0.0, 0.0], [0.0, 6.0]]))


def test_the_network_of_the_paper_has_as_many_parameters():
    # The paper gives 26.2 M for 26 2x96d on images of three channels.
    with torch.device("meta"):
        block_widths = [(16, 96), (96, 192), (192, 384)]
        total = sum(
            sum(p.numel() for p in ShakeShakeBlock(inputs, outputs, 1).parameters())
            + 3 * sum(p.numel() for p in ShakeShakeBlock(outputs, outputs, 1).parameters())
            for inputs, outputs in block_widths
        )
    assert total / 1e6 == pytest.approx(26.2, abs=0.05)


def test_twice_the_blocks_are_added_to_every_stage():
    def cost(blocks):
        config = ShakeShakeConfig(width=4, blocks=blocks)
        return model_cost(build_model(config, (1, 8, 8), 3), (1, 8, 8)).parameters

    assert cost(3) - cost(2) == cost(2) - cost(1) > 0
