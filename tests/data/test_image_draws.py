"""Draws that belong to an image are as random as others."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from atelier.data.image_draws import Draws


def draws(ids, seed=0, stream="s"):
    return Draws(torch.as_tensor(ids), seed, stream)


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_uniform_and_normal_numbers_are_that(seed):
    some = draws(range(500), seed)
    assert kstest(some.uniform(40).flatten().numpy(), "uniform").pvalue > 0.001
    assert kstest(some.normal(40).flatten().numpy(), "norm").pvalue > 0.001
    assert abs(some.sign().mean()) < 0.15
    assert set(some.sign().tolist()) == {-1.0, 1.0}


def test_neighbors_are_not_alike():
    numbers = draws(range(300)).uniform(300).numpy()
    assert abs(np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())[0, 1]) < 0.02


def test_seed_stream_and_part_each_matter():
    first = draws([5]).uniform(8)
    assert torch.equal(first, draws([5]).uniform(8))
    for other in (
        draws([5], seed=1).uniform(8),
        draws([5], stream="t").uniform(8),
        draws([6]).uniform(8),
        draws([5]).uniform(8, part="p"),
    ):
        assert not torch.equal(first, other)
