"""Odd images: all of them can be read, and they are of many kinds."""

import io

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.data import read_image
from atelier.exporting.odd import odd_images


@pytest.fixture(scope="module")
def known():
    return atelier.load_dataset("fashion-mnist-sample").test.images[:20]


@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (40, 24))])
def test_each_can_be_read_and_they_differ(known, channels, size):
    files = list(odd_images(256, known))
    pixels = [read_image(file, channels=channels, image_size=size).pixels for file in files]
    assert all(image.shape == (channels, *size) for image in pixels)
    assert len({image.tobytes() for image in pixels}) > 150
    means = np.array([image.mean() for image in pixels])
    assert (means == 0).any()
    assert channels == 1 or (means == 255).any()


def test_they_are_of_every_size_mode_and_format(known):
    seen = set()
    for file in odd_images(512, known):
        with Image.open(io.BytesIO(file)) as image:
            seen |= {image.format, image.mode, image.size}
    assert {"PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"} <= seen
    assert {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"} <= seen
    assert {(1, 1), (28, 28), (2, 300), (160, 200)} <= seen


def test_the_same_seed_draws_the_same(known):
    assert list(odd_images(64, known)) == list(odd_images(64, known))
    assert list(odd_images(64, known)) != list(odd_images(64, known, seed=1))
