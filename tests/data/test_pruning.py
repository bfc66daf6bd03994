"""Pruning: learned images are left out of an epoch, and the mean over it stays what it was."""

import numpy as np
import pytest
import torch

from atelier.config import AugmentConfig
from atelier.data import ImageSplit
from atelier.data.augment import Augmenter
from atelier.data.batches import Normalizer, TrainingBatches
from atelier.data.pruning import Pruning

CPU = torch.device("cpu")
COUNT = 4000


def pruned(share=0.5, last_epoch=7):
    pruning = Pruning(share, last_epoch, COUNT, CPU)
    # One in four has not been learned.
    losses = torch.where(torch.arange(COUNT) % 4 == 0, 2.0, 0.1)
    pruning.observe(torch.arange(COUNT), losses)
    return pruning


def drawn(pruning, epoch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return pruning(torch.randperm(COUNT, generator=generator), epoch, generator)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_hard_images_stay_and_so_many_of_the_easy_ones_go(share):
    order = drawn(pruned(share), 2)
    assert len(set(order.tolist())) == len(order)
    hard = order[order % 4 == 0]
    assert len(hard) == COUNT // 4
    left = len(order) - len(hard)
    assert left == pytest.approx((1 - share) * COUNT * 3 / 4, rel=0.1)


def test_the_weighted_mean_over_what_stays_is_that_over_all():
    pruning = pruned(0.5)
    weights = pruning.weights(2)
    means = [
        float((pruning.losses * weights)[order].sum() / COUNT)
        for order in (drawn(pruning, 2, seed) for seed in range(20))
    ]
    assert np.mean(means) == pytest.approx(float(pruning.losses.mean()), rel=0.01)


def test_nothing_is_left_out_before_losses_are_known_or_after_the_last_epoch():
    fresh = Pruning(0.5, 7, COUNT, CPU)
    assert len(drawn(fresh, 1)) == COUNT
    assert len(drawn(pruned(), 7)) < COUNT
    assert len(drawn(pruned(), 8)) == COUNT
    assert pruned().weights(8) is None


def test_an_image_that_was_never_seen_is_not_easy():
    pruning = pruned(0.9)
    pruning.losses[1] = torch.inf
    assert all(1 in drawn(pruning, 2, seed) for seed in range(5))


def batches_of(pruning):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 1, 2, 2), dtype=np.uint8)
    split = ImageSplit(images, np.arange(COUNT) % 3, np.arange(COUNT))
    augment = Augmenter(AugmentConfig(), torch.zeros(1), COUNT, 0, CPU)
    normalize = Normalizer([0.5], [0.25], CPU)
    return TrainingBatches(split, np.arange(COUNT), 100, normalize, augment, CPU, pruning)


def test_batches_tell_what_counts_more_and_learn_the_losses():
    pruning = pruned()
    batches = batches_of(pruning)
    epoch = list(batches.epoch(2, 0))
    assert len(epoch) == len(batches) < COUNT // 100
    first = epoch[0]
    assert torch.equal(first.weights, torch.where(first.positions % 4 == 0, 1.0, 2.0))
    first.observe(torch.full((100,), 5.0))
    assert (pruning.losses[first.positions] == 5).all()
    assert len(list(batches.epoch(8, 0))) == len(batches) == COUNT // 100


def test_the_losses_go_on_to_a_resumed_training_and_only_of_as_many_images():
    batches, other = batches_of(pruned()), batches_of(Pruning(0.5, 7, COUNT, CPU))
    other.load_state_dict(batches.state_dict())
    assert [b.positions.tolist() for b in batches.epoch(3, 1)] == [
        b.positions.tolist() for b in other.epoch(3, 1)
    ]
    with pytest.raises(ValueError, match="losses of 3 images"):
        other.load_state_dict({"losses": torch.zeros(3)})
    assert batches_of(None).state_dict() == {}
