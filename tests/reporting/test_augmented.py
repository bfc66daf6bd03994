"""What augmentation makes of images, to be looked at."""

import numpy as np
import pytest

from atelier.config import AugmentConfig
from atelier.reporting import augmented_examples


def pictures(channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(60, 200, (4, channels, 20, 16), dtype=np.uint8)


def test_images_that_nothing_is_done_to_are_shown_as_they_are():
    images = pictures()
    shown = augmented_examples(images, AugmentConfig(), variants=3)
    assert shown.shape == (4, 3, 3, 20, 16)
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - images[:, None]).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(policy="randaugment", edge="reflect"),
        AugmentConfig(brightness=0.3, contrast=0.3, light=0.3),
        AugmentConfig(resized_crop=0.3, aspect=0.3, perspective=0.2),
        AugmentConfig(mixup=1.0),
        AugmentConfig(cutmix=1.0, mix_until=0.5),
    ],
)
def test_every_augmentation_is_shown_and_each_draw_is_another(config, channels):
    shown = augmented_examples(pictures(channels), config, variants=4)
    assert shown.shape == (4, 4, channels, 20, 16)
    assert len({image.tobytes() for image in shown.reshape(16, -1)}) >= 12


def test_what_comes_in_at_the_edges_is_the_background_that_is_named():
    config = AugmentConfig(translation=0.5)
    shown = augmented_examples(pictures(), config, background=255)
    assert shown.max() == 255
    assert shown.min() >= 59
