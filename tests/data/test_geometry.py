"""Where pixels come from: mirrors, padding and the one warp, against what can be said of them."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atelier.data import geometry
from atelier.data.geometry import mirror, pad_images

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(2, 14), st.integers(2, 14))


def random_images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def warp(images, degrees=0.0, zoom=1.0, shift=(0.0, 0.0), fill=0.0):
    n = len(images)
    matrices = geometry.affine(
        torch.full((n,), math.radians(degrees)),
        torch.full((n,), zoom),
        torch.tensor([shift]).repeat(n, 1),
        images.shape[-2] / images.shape[-1],
    )
    return geometry.warp(images, matrices, torch.tensor(fill))


@given(SHAPES, st.data())
def test_mirror_is_exact_and_its_own_inverse(shape, data):
    images = random_images(*shape)
    chosen = torch.tensor(data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])))
    result = mirror(images, chosen)
    for before, after, turned in zip(images, result, chosen, strict=True):
        expected = before.numpy()[..., ::-1] if turned else before.numpy()
        assert np.array_equal(after.numpy(), expected)
    assert torch.equal(mirror(result, chosen), images)


@given(SHAPES, st.integers(1, 5))
def test_padding_adds_the_background_of_each_channel_on_every_side(shape, pad):
    images = random_images(*shape)
    fill = torch.linspace(-1, 1, shape[1]).view(1, -1, 1, 1)
    padded = pad_images(images, pad, fill)
    assert padded.shape == (*shape[:2], shape[2] + 2 * pad, shape[3] + 2 * pad)
    inside = padded[:, :, pad:-pad, pad:-pad]
    assert torch.allclose(inside, images, atol=1e-6)
    frame = torch.ones(padded.shape[-2:], dtype=torch.bool)
    frame[pad:-pad, pad:-pad] = False
    assert torch.equal(padded[..., frame], fill.flatten(2).expand_as(padded[..., frame]))


@given(SHAPES)
def test_a_warp_that_does_nothing_changes_nothing(shape):
    images = random_images(*shape)
    assert torch.allclose(warp(images, fill=0.7), images, atol=1e-4)


@pytest.mark.parametrize("turns", [1, 2, 3, -1])
@pytest.mark.parametrize("side", [8, 9])
def test_quarter_turns_of_a_square_are_exact_and_counter_clockwise(turns, side):
    images = random_images(2, 3, side, side)
    expected = torch.rot90(images, turns, (-2, -1))
    assert torch.allclose(warp(images, degrees=90 * turns), expected, atol=1e-4)


def test_counter_clockwise_is_as_seen():
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 8] = 1  # at three o'clock
    result = warp(images, degrees=90)
    assert result[0, 0].argmax().item() == 0 * 9 + 4  # at twelve


@pytest.mark.parametrize("size", [(6, 10), (10, 6), (7, 12)])
def test_a_half_turn_of_an_oblong_image(size):
    images = random_images(2, 1, *size)
    assert torch.allclose(warp(images, degrees=180), images.flip(-1, -2), atol=1e-4)


@pytest.mark.parametrize("size", [(6, 10), (10, 6)])
def test_a_quarter_turn_of_an_oblong_image_keeps_its_proportions(size):
    images = random_images(2, 1, *size)
    result = warp(images, degrees=90, fill=9.0)
    # What both have in common is the square in the middle.
    height, width = size
    side = min(size)
    top, left = (height - side) // 2, (width - side) // 2
    square = (..., slice(top, top + side), slice(left, left + side))
    assert torch.allclose(result[square], torch.rot90(images[square], 1, (-2, -1)), atol=1e-4)
    outside = torch.ones(size, dtype=torch.bool)
    outside[square[1:]] = False
    assert torch.allclose(result[..., outside], torch.tensor(9.0))


@given(st.integers(-4, 4), st.integers(-4, 4), st.sampled_from([(8, 8), (6, 11), (9, 5)]))
def test_a_shift_by_whole_pixels_is_a_roll_with_fill(right, down, size):
    height, width = size
    images = random_images(2, 1, height, width)
    result = warp(images, shift=(2 * right / width, 2 * down / height), fill=-2.0)
    expected = torch.roll(images, (down, right), (-2, -1))
    rows, columns = torch.arange(height) - down, torch.arange(width) - right
    expected[..., (rows < 0) | (rows >= height), :] = -2.0
    expected[..., (columns < 0) | (columns >= width)] = -2.0
    assert torch.allclose(result, expected, atol=1e-4)


def test_a_turn_and_a_shift_turn_first():
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 6] = 1  # two to the right of the center
    result = warp(images, degrees=90, shift=(2 * 1 / 9, 2 * 3 / 9))
    # Two above the center, then one to the right and three down.
    assert result[0, 0].argmax().item() == 5 * 9 + 5


def test_zoom_doubles():
    images = random_images(2, 1, 16, 12)
    result = warp(images, zoom=2.0)
    middle = images[..., 4:12, 3:9]
    # Bilinear upsampling of the middle, away from its edges where that repeats the last pixel.
    expected = F.interpolate(middle, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(result[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)


def test_zooming_out_shows_the_background_around():
    images = torch.ones(1, 1, 16, 16)
    result = warp(images, zoom=0.5, fill=-3.0)
    assert torch.allclose(result[..., 4:12, 4:12], torch.tensor(1.0))
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[4:12, 4:12] = False
    assert torch.equal(result[..., outside], torch.full_like(result[..., outside], -3.0))
