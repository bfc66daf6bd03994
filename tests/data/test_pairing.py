"""Labeled and unlabeled images side by side: an epoch is a pass over the unlabeled ones."""

import numpy as np
import torch

from atelier.config import AugmentConfig
from atelier.data import ImageSplit, normalization_of
from atelier.data.augment import Augmenter
from atelier.data.batches import Normalizer, TrainingBatches
from atelier.data.pairing import PairedBatches

CPU = torch.device("cpu")


def split_of(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 1, 4, 5), dtype=np.uint8)
    return ImageSplit(images, np.arange(count) % 3, np.arange(count) + 1000)


def batches_of(split, size, config, chosen, **more):
    augment = Augmenter(config, torch.zeros(1), len(chosen), 0, CPU)
    normalize = Normalizer(*normalization_of(split.images), CPU)
    return TrainingBatches(split, np.array(chosen), size, normalize, augment, CPU, **more)


def paired(labeled=6, unlabeled=40):
    split = split_of(labeled + unlabeled)
    mirror = AugmentConfig(mirror="random")
    view = Augmenter(AugmentConfig(crop_padding=2), torch.zeros(1), unlabeled, 0, CPU)
    return split, PairedBatches(
        batches_of(split, 4, AugmentConfig(), range(labeled)),
        batches_of(split, 8, mirror, range(labeled, labeled + unlabeled), views=(view,)),
    )


def test_an_epoch_sees_each_unlabeled_image_once_and_the_labeled_ones_again_and_again():
    _, batches = paired()
    epoch = list(batches.epoch(1, 0))
    assert len(epoch) == len(batches) == 5
    seen = torch.cat([batch.unlabeled.positions for batch in epoch])
    assert sorted(seen.tolist()) == list(range(40))
    assert {len(batch.labels) for batch in epoch} == {4}
    assert batches.batch_size == 12


def test_views_are_of_the_same_images_drawn_in_ways_of_their_own():
    split, batches = paired()
    for batch in batches.epoch(1, 0):
        weak, other = batch.unlabeled.views
        assert weak.shape == other.shape == (8, 1, 4, 5)
        assert not torch.equal(weak, other)
        plain = batches.others.normalize(
            torch.from_numpy(split.images[6 + batch.unlabeled.positions.numpy()])
        )
        mirrored = (weak == plain.flip(-1)).flatten(1).all(1)
        assert torch.equal(weak[~mirrored], plain[~mirrored])


def test_the_same_seed_gives_the_same_batches_and_another_one_others():
    _, batches = paired()
    first, again, other = (list(batches.epoch(2, seed)) for seed in (5, 5, 6))
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.positions, two.positions)
        for a, b in zip(one.unlabeled.views, two.unlabeled.views, strict=True):
            assert torch.equal(a, b)
    assert any(
        not torch.equal(one.unlabeled.positions, two.unlabeled.positions)
        for one, two in zip(first, other, strict=True)
    )
