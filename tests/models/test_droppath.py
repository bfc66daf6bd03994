"""Stochastic depth: which branches go, what stays of them, and how the rates rise."""

import pytest
import torch

from atelier.models.droppath import DropPath, drop_rates


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(4000, 3), (4000, 5, 2), (4000, 2, 3, 3)], ids=str)
def test_a_branch_is_dropped_whole_or_kept_and_scaled(shape):
    dropped = DropPath(0.25)(torch.ones(shape)).flatten(1)
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))  # an image's values together
    values = dropped[:, 0]
    assert set(values.tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
    assert (values == 0).double().mean() == pytest.approx(0.25, abs=0.03)
    assert values.mean() == pytest.approx(1, abs=0.04)


def test_nothing_is_dropped_in_evaluation_or_at_a_rate_of_zero():
    branch = torch.randn(8, 3)
    assert torch.equal(DropPath(0.9).eval()(branch), branch)
    assert torch.equal(DropPath(0.0)(branch), branch)


def test_what_is_dropped_gets_no_gradient():
    branch = torch.ones(64, 2, requires_grad=True)
    out = DropPath(0.5)(branch)
    out.sum().backward()
    assert torch.equal(branch.grad, out)  # 0 or 2, as the values themselves


def test_half_precision_stays_half():
    assert DropPath(0.3)(torch.ones(4, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_rates_rise_from_none_to_the_last():
    assert drop_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert drop_rates(0.3, 1) == [0]
