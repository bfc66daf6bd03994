"""Batches: every image once, in a new order each epoch, with mean 0 and deviation 1."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data import ImageSplit, normalization_of
from atelier.data.augment import Augmenter
from atelier.data.batches import Normalizer, TrainingBatches
from atelier.data.mixing import Mixing
from atelier.data.pruning import Pruning

CPU = torch.device("cpu")


def split_of(count, channels=1, size=(4, 5)):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, channels, *size), dtype=np.uint8)
    return ImageSplit(images, np.arange(count) % 3, np.arange(count) + 1000)


def batches_of(split, batch_size, config=None, chosen=None, **more):
    chosen = np.arange(len(split)) if chosen is None else np.array(chosen)
    augment = Augmenter(
        config or AugmentConfig(), torch.zeros(split.images.shape[1]), len(chosen), 0, CPU
    )
    normalize = Normalizer(*normalization_of(split.images), CPU)
    return TrainingBatches(split, chosen, batch_size, normalize, augment, CPU, **more)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 1000))
def test_an_epoch_holds_each_image_at_most_once_and_drops_less_than_a_batch(count, size, seed):
    batches = batches_of(split_of(count), size)
    epoch = list(batches.epoch(1, seed))
    assert len(epoch) == len(batches) >= 1
    assert {len(batch.positions) for batch in epoch} == {min(size, count)}
    positions = torch.cat([batch.positions for batch in epoch]).tolist()
    assert len(set(positions)) == len(positions)
    assert set(positions) <= set(range(count))
    assert count - len(positions) < min(size, count)


def test_an_epoch_that_divides_evenly_is_a_permutation_and_not_the_order_of_the_data():
    batches = batches_of(split_of(60), 12)
    positions = torch.cat([batch.positions for batch in batches.epoch(1, 0)]).tolist()
    assert sorted(positions) == list(range(60))
    assert positions != list(range(60))


def test_images_labels_and_positions_belong_together():
    split = split_of(20, channels=3)
    normalize = Normalizer(*normalization_of(split.images), CPU)
    for batch in batches_of(split, 6).epoch(1, 0):
        places = batch.positions.numpy()
        assert np.array_equal(batch.labels.numpy(), split.labels[places])
        assert torch.equal(batch.images, normalize(torch.from_numpy(split.images[places])))
        assert batch.labels.dtype == torch.int64


def same(first, second):
    return all(
        torch.equal(a.images, b.images)
        and torch.equal(a.labels, b.labels)
        and torch.equal(a.positions, b.positions)
        for a, b in zip(first, second, strict=True)
    )


def test_the_same_seed_gives_the_same_batches_whatever_came_before():
    config = AugmentConfig(mirror="random", rotation_degrees=20, erase_probability=0.5)
    batches = batches_of(split_of(40), 8, config)
    first = list(batches.epoch(3, 7))
    next(iter(batches.epoch(4, 8)))  # an epoch that was broken off
    torch.manual_seed(99)
    assert same(first, batches.epoch(3, 7))
    assert same(first, batches_of(split_of(40), 8, config).epoch(3, 7))
    assert not same(first, batches.epoch(3, 8))


def test_over_the_epochs_every_image_has_its_turn():
    batches = batches_of(split_of(10), 7)
    seen = set()
    for epoch in range(1, 11):
        for batch in batches.epoch(epoch, epoch):
            seen |= set(batch.positions.tolist())
    assert seen == set(range(10))


def test_a_data_set_smaller_than_a_batch_is_one_batch():
    batches = batches_of(split_of(5), 128)
    assert len(batches) == 1
    assert batches.batch_size == 5
    (batch,) = batches.epoch(1, 0)
    assert sorted(batch.positions.tolist()) == [0, 1, 2, 3, 4]


def test_the_data_are_left_alone():
    split = split_of(12)
    kept = split.images.copy()
    for batch in batches_of(split, 4).epoch(1, 0):
        batch.images.zero_()
    assert np.array_equal(split.images, kept)


def test_the_data_are_not_copied():
    split = split_of(12)
    batches = batches_of(split, 4, chosen=[3, 1, 7])
    assert np.shares_memory(batches.images.numpy(), split.images)


def test_a_map_of_a_file_is_read_where_it_lies(tmp_path):
    split = split_of(12)
    np.save(tmp_path / "images.npy", split.images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    batches = batches_of(ImageSplit(mapped, split.labels, split.ids), 4)
    assert np.shares_memory(batches.images.numpy(), mapped)
    assert same(batches.epoch(1, 0), batches_of(split, 4).epoch(1, 0))


def test_only_the_chosen_are_trained_on_and_positions_count_among_them():
    split, chosen = split_of(20), np.array([13, 2, 5, 19, 0, 7])
    batches = batches_of(split, 2, chosen=chosen)
    normalize = Normalizer(*normalization_of(split.images), CPU)
    assert batches.labels.tolist() == split.labels[chosen].tolist()
    seen = []
    for batch in batches.epoch(1, 0):
        places = chosen[batch.positions.numpy()]
        assert batch.labels.tolist() == split.labels[places].tolist()
        assert torch.equal(batch.images, normalize(torch.from_numpy(split.images[places])))
        seen += places.tolist()
    assert sorted(seen) == sorted(chosen)


def test_the_chosen_are_batched_as_if_there_were_no_others():
    split, chosen = split_of(30), [4, 9, 8, 21, 29]
    config = AugmentConfig(mirror="alternating", crop_padding=1)
    part = batches_of(split, 3, config, chosen=chosen)
    alone = batches_of(split.take(chosen), 3, config)
    alone.normalize = part.normalize
    assert len(part) == len(alone) == 1
    assert same(part.epoch(2, 5), alone.epoch(2, 5))


@pytest.mark.parametrize("count", [1, 3, 5, 10, 11, 500])
def test_some_images_are_of_the_chosen_evenly_spread_and_not_augmented(count):
    split, chosen = split_of(40), np.arange(39, 9, -3)
    batches = batches_of(split, 4, AugmentConfig(cutout=3, crop_padding=2), chosen=chosen)
    step = {1: 10, 3: 3, 5: 2, 10: 1, 11: 1, 500: 1}[count]
    expected = batches.normalize(torch.from_numpy(split.images[chosen[::step][:count]]))
    assert torch.equal(batches.some(count), expected)
    assert len(expected) == min(count, 10)


def test_batches_need_no_gradient():
    (batch,) = batches_of(split_of(4), 4).epoch(1, 0)
    assert not batch.images.requires_grad


@pytest.mark.parametrize("channels", [1, 3])
def test_normalized_images_have_mean_0_and_deviation_1(channels):
    images = split_of(300, channels).images.copy()
    images[:, 0] //= 4
    result = Normalizer(*normalization_of(images), CPU)(torch.from_numpy(images))
    assert result.dtype == torch.float32
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(channels), atol=1e-4)
    assert torch.allclose(result.std((0, 2, 3)), torch.ones(channels), atol=1e-3)


def test_the_real_sample_is_normalized(sample):
    images = sample.train.images
    result = Normalizer(*normalization_of(images), CPU)(torch.from_numpy(np.array(images)))
    assert abs(result.mean().item()) < 1e-4
    assert abs(result.std().item() - 1) < 1e-3


def test_normalizing_is_what_the_formula_says():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(3, 1, 1, 1)
    result = Normalizer([0.2], [0.5], CPU)(images).flatten()
    assert torch.allclose(result, torch.tensor([-0.4, 0.0, 1.6]), atol=1e-6)
    assert images.flatten().tolist() == [0, 51, 255]


def test_a_byte_becomes_what_a_pixel_of_it_becomes():
    normalize = Normalizer([0.2, 0.7, 0.4], [0.5, 0.1, 1.0], CPU)
    for value in (0, 37, 255):
        pixels = normalize(torch.full((1, 3, 1, 1), value, dtype=torch.uint8))
        assert torch.equal(normalize.byte(value), pixels)


def test_a_constant_channel_becomes_zero():
    images = np.full((4, 1, 3, 3), 7, dtype=np.uint8)
    result = Normalizer(*normalization_of(images), CPU)(torch.from_numpy(images))
    assert torch.allclose(result, torch.zeros_like(result), atol=1e-6)


def test_images_come_with_channels_last_as_the_cpu_likes_them():
    (batch,) = batches_of(split_of(4, channels=3), 4).epoch(1, 0)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


# Balanced, weighted and mixed


def unbalanced(count=40):
    split = split_of(count)
    return ImageSplit(split.images, (np.arange(count) % 8 == 0).astype(np.int64), split.ids)


def test_a_balanced_epoch_is_as_long_and_takes_each_class_as_often():
    batches = batches_of(unbalanced(), 8, balanced=True)
    epoch = list(batches.epoch(1, 3))
    assert len(epoch) == len(batches) == 5
    labels = torch.cat([batch.labels for batch in epoch])
    assert labels.bincount().tolist() == [20, 20]
    assert same(epoch, batches_of(unbalanced(), 8, balanced=True).epoch(1, 3))
    assert not same(epoch, batches.epoch(2, 4))


def test_weights_go_with_their_images_and_multiply_those_of_the_pruning():
    weights = np.linspace(0.1, 2, 40, dtype=np.float32)
    for batch in batches_of(split_of(40), 8, weights=weights).epoch(1, 0):
        assert torch.equal(batch.weights, torch.from_numpy(weights)[batch.positions])
    pruning = Pruning(0.5, 5, 40, CPU)
    pruning.observe(torch.arange(40), torch.arange(40.0))
    for batch in batches_of(split_of(40), 8, weights=weights, pruning=pruning).epoch(2, 0):
        twice = torch.where(batch.positions < 20, 2.0, 1.0)
        assert torch.equal(batch.weights, torch.from_numpy(weights)[batch.positions] * twice)


def test_a_mixed_image_names_both_of_which_it_is_made():
    split = split_of(24, channels=3)
    config = AugmentConfig(mixup=1.0, mix_until=0.5)
    batches = batches_of(split, 8, mixing=Mixing(config, num_epochs=4))
    normalize = Normalizer(*normalization_of(split.images), CPU)
    epoch = list(batches.epoch(2, 0))
    for batch in epoch:
        partners, share = batch.mixed
        plain = normalize(torch.from_numpy(split.images[batch.positions.numpy()]))
        share = share.view(-1, 1, 1, 1)
        expected = share * plain + (1 - share) * plain[partners]
        assert torch.allclose(batch.images, expected, atol=1e-5)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert same(epoch, batches.epoch(2, 0))
    assert all(batch.mixed is None for batch in batches.epoch(3, 0))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 5))
def test_batches_augmented_together_are_the_same_batches(count, size, together):
    config = AugmentConfig(mirror="alternating")
    weights = np.arange(count, dtype=np.float32)
    one_by_one = batches_of(split_of(count), size, config, weights=weights)
    several = batches_of(split_of(count), size, config, weights=weights)
    several.views = (several.augment,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingBatches, "_batches_at_once", together)
        grouped = list(several.epoch(1, 7))
    alone = list(one_by_one.epoch(1, 7))
    assert len(grouped) == len(alone)
    for ours, theirs in zip(grouped, alone, strict=True):
        for name in ("images", "labels", "positions", "weights"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        assert torch.equal(ours.views[0], ours.images)
