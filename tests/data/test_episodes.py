"""Episodes: a few classes, and different images of each."""

import numpy as np
import pytest
import torch

from atelier.config import AugmentConfig
from atelier.data import ImageSplit, normalization_of
from atelier.data.augment import Augmenter
from atelier.data.batches import Normalizer, TrainingBatches
from atelier.data.episodes import EpisodeBatches
from atelier.errors import ConfigError

CPU = torch.device("cpu")
CHOSEN = np.arange(5, 65)
LABELS = np.arange(70) % 6


def episodes_of(augment=None, **options):
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 4, 5), dtype=np.uint8)
    split = ImageSplit(images, LABELS, np.arange(70))
    batches = TrainingBatches(
        split,
        CHOSEN,
        8,
        Normalizer(*normalization_of(images), CPU),
        Augmenter(augment or AugmentConfig(), torch.zeros(1), len(CHOSEN), 0, CPU),
        CPU,
    )
    options = {"ways": 4, "shots": 2, "queries": 3, "episodes": 7, **options}
    return images, EpisodeBatches(batches, **options)


def test_an_episode_has_its_classes_one_after_the_other_each_with_different_images():
    images, episodes = episodes_of()
    epoch = list(episodes.epoch(1, 0))
    assert len(epoch) == len(episodes) == 7
    for batch in epoch:
        assert len(batch.images) == episodes.batch_size == 4 * 5
        by_class = batch.labels.view(4, 5)
        assert (by_class == by_class[:, :1]).all()
        assert len(by_class[:, 0].unique()) == 4
        assert len(batch.positions.unique()) == 20
        places = CHOSEN[batch.positions.numpy()]
        assert np.array_equal(batch.labels.numpy(), LABELS[places])
        plain = episodes.batches.normalize(torch.from_numpy(images[places]))
        assert torch.equal(batch.images, plain)


def test_all_classes_and_most_images_have_their_turn():
    _, episodes = episodes_of(episodes=60)
    epoch = list(episodes.epoch(1, 0))
    assert torch.cat([b.labels for b in epoch]).unique().tolist() == list(range(6))
    assert len(torch.cat([b.positions for b in epoch]).unique()) == len(CHOSEN)


def test_the_same_seed_gives_the_same_episodes_and_another_one_others():
    _, episodes = episodes_of(AugmentConfig(mirror="random"))

    def drawn(seed):
        return torch.stack([batch.images for batch in episodes.epoch(1, seed)])

    assert torch.equal(drawn(3), drawn(3))
    assert not torch.equal(drawn(3), drawn(4))
    assert episodes.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ways": 7}, "more classes than there are to train on; got 7; allowed: up to 6"),
        ({"shots": 8}, "got '8 . 3 images'; allowed: up to 10"),
    ],
)
def test_what_the_images_cannot_give_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        episodes_of(**options)


def test_a_state_of_other_batches_is_refused():
    with pytest.raises(ValueError, match="losses"):
        episodes_of()[1].load_state_dict({"losses": torch.zeros(3)})


def test_turned_images_are_classes_of_their_own():
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 5, 5), dtype=np.uint8)
    batches = TrainingBatches(
        ImageSplit(images, LABELS, np.arange(70)),
        CHOSEN,
        8,
        Normalizer(*normalization_of(images), CPU),
        Augmenter(AugmentConfig(), torch.zeros(1), len(CHOSEN), 0, CPU),
        CPU,
    )
    options = {"ways": 24, "shots": 1, "queries": 1, "episodes": 2, "rotations": True}
    for batch in EpisodeBatches(batches, **options).epoch(1, 0):
        plain = batches.normalize(torch.from_numpy(images[CHOSEN[batch.positions.numpy()]]))
        seen = set()
        for at in range(0, 48, 2):
            (turns,) = [
                k for k in range(4) if torch.equal(batch.images[at], plain[at].rot90(k, (1, 2)))
            ]
            assert torch.equal(batch.images[at + 1], plain[at + 1].rot90(turns, (1, 2)))
            seen.add((batch.labels[at].item(), turns))
        assert len(seen) == 24


def test_images_that_are_not_square_are_not_turned():
    with pytest.raises(ConfigError, match=r"must be square; got '4 x 5 pixels'"):
        episodes_of(rotations=True)
