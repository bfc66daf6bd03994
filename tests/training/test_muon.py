"""Muon: against Newton-Schulz written out by hand, and torch's own optimizers for all else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atelier.training.muon import Muon, MuonAdamW, orthogonalize


def drawn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def orthogonalized_by_hand(matrix):
    """One (R, C) matrix after five steps of the quintic, in double precision."""
    x = np.asarray(matrix, np.float64)
    x = x / np.sqrt((x**2).sum())
    for _ in range(5):
        if x.shape[0] <= x.shape[1]:
            square = x @ x.T
            x = 3.4445 * x - 4.7750 * square @ x + 2.0315 * square @ square @ x
        else:
            square = x.T @ x
            x = 3.4445 * x - 4.7750 * x @ square + 2.0315 * x @ square @ square
    return x


def with_gradients(weights, seed):
    for index, weight in enumerate(weights):
        weight.grad = drawn(*weight.shape, seed=100 * seed + index)


# The orthogonalization.


@pytest.mark.parametrize("shape", [(1, 8, 8), (4, 6, 50), (4, 50, 6), (3, 1, 9), (3, 9, 1)])
def test_singular_values_come_near_1_and_directions_stay(shape):
    count, rows, columns = shape
    rank = min(rows, columns)
    left = torch.linalg.qr(drawn(count, rows, rank)).Q
    right = torch.linalg.qr(drawn(count, columns, rank, seed=1)).Q
    before = torch.linspace(1, 0.05, rank).expand(count, rank) * torch.tensor(1e-3)
    result = orthogonalize(left @ torch.diag_embed(before) @ right.mT)
    assert result.shape == shape
    # In the old directions there is nothing but one number each, of the old sign.
    inner = left.mT @ result @ right
    values = torch.diagonal(inner, dim1=1, dim2=2)
    assert torch.allclose(inner, torch.diag_embed(values), atol=1e-4)
    assert values.min() > 0.6
    assert values.max() < 1.3


@given(st.integers(1, 4), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_it_agrees_with_the_iteration_by_hand(count, rows, columns, seed):
    matrices = drawn(count, rows, columns, seed=seed)
    result = orthogonalize(matrices)
    for matrix, made in zip(matrices, result, strict=True):
        assert np.allclose(made.numpy(), orthogonalized_by_hand(matrix), atol=1e-3)


def test_the_scale_of_a_matrix_does_not_matter():
    matrices = drawn(2, 5, 7)
    assert torch.allclose(orthogonalize(1000 * matrices), orthogonalize(matrices), atol=1e-5)


def test_nothing_stays_nothing():
    assert torch.equal(orthogonalize(torch.zeros(2, 4, 9)), torch.zeros(2, 4, 9))


# The filters.


def test_steps_are_those_of_the_formula():
    weight = nn.Parameter(drawn(6, 2, 3, 3).to(memory_format=torch.channels_last))
    optimizer = Muon([weight], [], lr=0.1, momentum=0.7)
    expected = weight.detach().double().numpy().reshape(6, 18)
    momentum = np.zeros_like(expected)
    for step in range(4):
        with_gradients([weight], step)
        gradient = weight.grad.double().numpy().reshape(6, 18)
        optimizer.step()
        momentum = 0.7 * momentum + gradient
        expected = expected * np.sqrt(6) / np.linalg.norm(expected)
        expected = expected - 0.1 * orthogonalized_by_hand(gradient + 0.7 * momentum)
        assert np.allclose(weight.detach().numpy().reshape(6, 18), expected, atol=1e-4)


def test_filters_have_a_fixed_norm_before_they_move():
    weights = [nn.Parameter(scale * drawn(9, 2, 3, 3)) for scale in (1e-3, 1.0, 50.0)]
    with_gradients(weights, 0)
    before = [weight.detach().clone() for weight in weights]
    Muon(weights, [], lr=1e-9, momentum=0.6).step()
    for weight, old in zip(weights, before, strict=True):
        assert weight.norm().item() == pytest.approx(3, rel=1e-5)
        assert torch.allclose(weight / 3, old / old.norm(), atol=1e-6)


def test_a_gradient_of_zero_moves_nothing():
    weights = [nn.Parameter(drawn(4, 3, 3, 3)), nn.Parameter(torch.zeros(4, 3, 3, 3))]
    optimizer = Muon(weights, [], lr=0.5, momentum=0.6)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    start = weights[0].detach().clone()
    for _ in range(3):
        optimizer.step()
        assert torch.allclose(weights[0], start * 2 / start.norm(), atol=1e-6)
        assert torch.equal(weights[1], torch.zeros_like(weights[1]))


def test_weights_without_a_gradient_are_left_alone():
    weights = [nn.Parameter(drawn(4, 3, 3, 3, seed=seed)) for seed in range(2)]
    rest = [nn.Parameter(drawn(5)), nn.Parameter(drawn(6))]
    before = [weight.detach().clone() for weight in (weights[1], *rest)]
    with_gradients(weights[:1], 0)
    optimizer = Muon(weights, [{"params": rest, "lr": 0.1}], lr=0.5, momentum=0.6)
    optimizer.step()
    for weight, old in zip((weights[1], *rest), before, strict=True):
        assert torch.equal(weight, old)
    assert list(optimizer.state) == weights[:1]


def test_filters_of_one_shape_move_as_if_each_were_alone():
    shapes = [(8, 4, 3, 3), (4, 8, 3, 3), (8, 4, 3, 3), (8, 12, 3, 1), (8, 4, 3, 3)]

    def moved(indices):
        weights = {index: nn.Parameter(drawn(*shapes[index], seed=index)) for index in indices}
        optimizer = Muon(list(weights.values()), [], lr=0.1, momentum=0.6)
        for step in range(3):
            for index, weight in weights.items():
                weight.grad = drawn(*weight.shape, seed=100 * step + index)
            optimizer.step()
        return weights

    together = moved(range(5))
    for index in range(5):
        assert torch.allclose(together[index], moved([index])[index], atol=1e-5)


# All else.


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.6, 0.9])
def test_all_but_the_filters_follow_sgd(weight_decay, momentum):
    mine = [nn.Parameter(drawn(3, 5)), nn.Parameter(drawn(7))]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in mine]
    filters = nn.Parameter(drawn(4, 3, 3, 3))
    decays = (weight_decay, 0.0)
    muon = Muon(
        [filters],
        [
            {"params": [weight], "lr": 0.05, "weight_decay": decay}
            for weight, decay in zip(mine, decays, strict=True)
        ],
        lr=0.3,
        momentum=momentum,
    )
    sgd = torch.optim.SGD(
        [
            {"params": [weight], "weight_decay": decay}
            for weight, decay in zip(theirs, decays, strict=True)
        ],
        lr=0.05,
        momentum=momentum,
        nesterov=True,
    )
    for step in range(5):
        with_gradients([*mine, filters], step)
        with_gradients(theirs, step)
        muon.step()
        sgd.step()
        for weight, expected in zip(mine, theirs, strict=True):
            assert torch.allclose(weight, expected, atol=1e-6)


def test_gradients_are_left_as_they_are():
    weights = [nn.Parameter(drawn(4, 3, 3, 3)), nn.Parameter(drawn(3, 5))]
    with_gradients(weights, 0)
    before = [weight.grad.clone() for weight in weights]
    others = [{"params": weights[1:], "lr": 0.1, "weight_decay": 0.5}]
    Muon(weights[:1], others, lr=0.3, momentum=0.6).step()
    assert all(torch.equal(w.grad, old) for w, old in zip(weights, before, strict=True))


def test_the_closure_is_called_once_with_gradients_on_and_before_the_move():
    weight = nn.Parameter(drawn(4, 3, 3, 3))
    start, seen = weight.detach().clone(), []

    def closure():
        seen.append((torch.is_grad_enabled(), torch.equal(weight, start)))
        loss = (weight**2).sum()
        loss.backward()
        return loss.detach()

    loss = Muon([weight], [], lr=0.3, momentum=0.6).step(closure)
    assert seen == [(True, True)]
    assert torch.equal(loss, (start**2).sum())
    assert not torch.equal(weight, start)
    assert Muon([weight], [], lr=0.3, momentum=0.6).step() is None


# Muon beside AdamW.


def test_a_matrix_turns_by_a_step_of_the_size_of_adamw_and_the_rest_follows_adamw():
    weights = [nn.Parameter(drawn(6, 10)), nn.Parameter(drawn(4, 3, 2, 2)), nn.Parameter(drawn(7))]
    expected = [weight.detach().double().numpy().copy() for weight in weights[:2]]
    theirs = nn.Parameter(weights[2].detach().clone())
    adamw = torch.optim.AdamW([theirs], lr=0.02, weight_decay=0.1)
    mixed = MuonAdamW(
        [
            {"params": weights[:2], "weight_decay": 0.3, "lr": 0.05, "orthogonalize": True},
            {"params": weights[2:], "weight_decay": 0.1, "orthogonalize": False},
        ],
        lr=0.02,
        momentum=0.9,
    )
    averages = [np.zeros_like(weight) for weight in expected]
    for step in range(4):
        with_gradients(weights, step)
        theirs.grad = weights[2].grad.clone()
        for index, weight in enumerate(expected):
            gradient = weights[index].grad.double().numpy()
            averages[index] = 0.9 * averages[index] + 0.1 * gradient
            move = (0.1 * gradient + 0.9 * averages[index]).reshape(len(weight), -1)
            move = 0.2 * np.sqrt(max(move.shape)) * orthogonalized_by_hand(move)
            expected[index] = (1 - 0.05 * 0.3) * weight - 0.05 * move.reshape(weight.shape)
        mixed.step()
        adamw.step()
    for weight, wanted in zip(weights, expected, strict=False):
        assert np.allclose(weight.detach().numpy(), wanted, atol=1e-4)
    assert torch.equal(weights[2], theirs)


def test_it_steps_as_torch_does_where_torch_computes_in_bfloat16():
    mine, theirs = nn.Parameter(drawn(8, 20)), nn.Parameter(drawn(8, 20))
    group = {"params": [mine], "weight_decay": 0.1, "orthogonalize": True}
    mixed = MuonAdamW([group], lr=0.05, momentum=0.95)
    reference = torch.optim.Muon(
        [theirs], lr=0.05, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    for step in range(3):
        with_gradients([mine], step)
        with_gradients([theirs], step)
        mixed.step()
        reference.step()
    assert torch.allclose(mine, theirs, atol=0.01)
    assert (mine - drawn(8, 20)).abs().mean() > 0.02


def test_a_closure_is_called_once_and_its_loss_comes_back():
    weight = nn.Parameter(drawn(3, 3))
    mixed = MuonAdamW([{"params": [weight], "orthogonalize": True}], lr=0.1, momentum=0.9)
    calls = []

    def closure():
        calls.append(weight.grad)
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert mixed.step(closure) == drawn(3, 3).square().sum()
    assert len(calls) == 1
    assert weight.square().sum() < drawn(3, 3).square().sum()
