"""AugMix: an image with a mixture of chains."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data.augment import Augmenter
from atelier.data.augmix import LONGEST, augmix, draw_chain
from atelier.data.policies import OPERATIONS

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@given(
    st.integers(1, 6),
    st.sampled_from([1, 3]),
    st.tuples(st.integers(2, 12), st.integers(2, 12)),
    st.integers(0, 1000),
)
def test_shape_and_range_stay(count, channels, size, seed):
    images = torch.rand(count, channels, *size, generator=generator(seed))
    augment = Augmenter(
        AugmentConfig(policy="augmix", policy_strength=1.0),
        torch.zeros(channels),
        count,
        seed,
        CPU,
    )
    augment.start_epoch(1, seed)
    before = images.clone()
    result = augment(images, torch.arange(count))
    assert result.shape == images.shape
    assert torch.equal(images, before)
    assert result.min() >= -1e-5
    assert result.max() <= 1 + 1e-5


def test_an_image_is_mixed_with_the_weighted_mean_of_its_chains():
    images = torch.rand(5, 1, 4, 4, generator=generator())
    outputs = []

    def apply(given, drawn):
        assert given is images
        assert drawn.operations.shape == (5, LONGEST)
        outputs.append(torch.full_like(images, float(len(outputs) + 1)))
        return outputs[-1]

    result = augmix(images, apply, strength=0.3, generator=generator(7))
    assert len(outputs) == 3
    # The same draws in the same order, with the formula of the paper's algorithm 1.
    again = generator(7)
    weights = torch.distributions.Exponential(1.0).icdf(torch.rand(3, 5, generator=again))
    weights = weights / weights.sum(0)
    for _ in range(3):
        draw_chain(5, strength=0.3, generator=again)
    m = torch.rand(5, 1, 1, 1, generator=again)
    mixture = (weights * torch.tensor([[1.0], [2.0], [3.0]])).sum(0).view(-1, 1, 1, 1)
    assert torch.allclose(result, (1 - m) * images + m * mixture, atol=1e-6)


def test_chains_are_of_one_to_three_of_the_operations_that_are_no_corruptions():
    drawn = draw_chain(3000, strength=0.3, generator=generator())
    identity = OPERATIONS.index("identity")
    lengths = (drawn.operations != identity).sum(1)
    assert [float((lengths == n).float().mean()) for n in (1, 2, 3)] == pytest.approx(
        [1 / 3] * 3, abs=0.04
    )
    # What does nothing comes last.
    assert ((drawn.operations[:, :-1] != identity) >= (drawn.operations[:, 1:] != identity)).all()
    used = {OPERATIONS[index] for index in drawn.operations.unique().tolist()}
    assert used.isdisjoint({"brightness", "contrast", "color", "sharpness"})
    assert len(used) == 10
    assert drawn.strengths.abs().max() <= 0.3


def test_the_seed_decides():
    images = torch.rand(4, 1, 8, 8, generator=generator())
    augment = Augmenter(AugmentConfig(policy="augmix"), torch.zeros(1), 4, 0, CPU)
    augment.start_epoch(1, 5)
    first = augment(images, torch.arange(4))
    second = augment(images, torch.arange(4))
    augment.start_epoch(1, 5)
    assert torch.equal(augment(images, torch.arange(4)), first)
    assert not torch.equal(first, second)
