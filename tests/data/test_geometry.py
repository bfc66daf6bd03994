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


# Crops, shears and perspective, as matrices of the same warp


def many(value, count=2):
    return torch.tensor([value], dtype=torch.float32).expand(
        count, *torch.tensor([value]).shape[1:]
    )


def cropped(images, area=1.0, stretch=1.0, place=(0.0, 0.0)):
    n = len(images)
    matrices = geometry.crop(many(area, n), many(stretch, n), many(place, n))
    return geometry.warp(images, matrices, torch.tensor(9.0))


@pytest.mark.parametrize(
    ("place", "top", "left"), [((-1, -1), 0, 0), ((1, -1), 0, 8), ((0, 1), 8, 4)]
)
def test_a_crop_of_a_quarter_is_a_part_at_twice_the_size(place, top, left):
    images = random_images(2, 3, 16, 16)
    part = images[..., top : top + 8, left : left + 8]
    expected = F.interpolate(part, scale_factor=2, mode="bilinear", align_corners=False)
    # At the part's own edge the warp sees what lies beyond it.
    result = cropped(images, area=0.25, place=place)
    assert torch.allclose(result[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-4)


@given(st.floats(0.02, 1), st.floats(0.2, 5), st.floats(-1, 1), st.floats(-1, 1))
def test_a_crop_never_leaves_the_image_and_keeps_the_area_if_it_can(area, stretch, right, down):
    matrix = geometry.crop(many(area, 1), many(stretch, 1), many((right, down), 1))[0]
    corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)]) @ matrix.T
    assert corners.abs().max() <= 1 + 1e-6
    width, height = float(matrix[0, 0]), float(matrix[1, 1])
    assert width * height <= area + 1e-6
    if area * max(stretch, 1 / stretch) <= 1:
        assert width * height == pytest.approx(area, rel=1e-4)
        assert width / height == pytest.approx(stretch, rel=1e-4)


def test_a_stretched_crop_is_wider_than_high():
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    result = cropped(columns, area=0.25, stretch=4.0)
    # The whole width at a quarter of the height.
    assert torch.allclose(result, columns, atol=1e-4)
    rows = cropped(columns.mT.contiguous(), area=0.25, stretch=4.0)[0, 0, :, 0]
    assert torch.allclose(rows.diff()[1:-1], torch.tensor(0.25), atol=1e-4)
    assert float(rows.mean()) == pytest.approx(7.5, abs=1e-3)


def test_a_shear_moves_rows_by_their_distance_from_the_middle():
    images = torch.zeros(1, 1, 9, 9)
    images[..., 4] = 1
    result = geometry.warp(images, geometry.shear(torch.tensor([[1.0, 0.0]])), torch.tensor(0.0))
    assert torch.allclose(result[0, 0], torch.eye(9).flip(1), atol=1e-4)


def test_perspective_leaves_the_middle_and_enlarges_one_edge():
    images = torch.arange(65.0).expand(1, 1, 65, 65)
    flat = geometry.warp(images, geometry.perspective(torch.zeros(1, 2)), None)
    assert torch.allclose(flat, images, atol=1e-3)
    right = geometry.warp(images, geometry.perspective(torch.tensor([[0.3, 0.0]])), None)
    row = right[0, 0, 32]
    assert float(row[32]) == pytest.approx(32, abs=1e-3)
    step = row[8:].diff()
    assert (step.diff() < 1e-3).all()  # ever larger: fewer of the image's columns for each pixel
    assert float(step[-1]) == pytest.approx(1 / 1.3**2, rel=0.05)


@given(st.integers(0, 1000))
def test_warps_one_after_the_other_are_one_warp(seed):
    # Ramps, for these are bilinear themselves.
    ramp = torch.arange(40.0).expand(40, 40)
    images = torch.stack([ramp, ramp.T])[None]
    draw = torch.rand(6, generator=torch.Generator().manual_seed(seed)) - 0.5
    first = geometry.affine(draw[:1], 1 + 0.2 * draw[1:2], 0.2 * draw[None, 2:4], 1.0)
    second = geometry.shear(0.4 * draw[None, 4:])
    both = geometry.warp(images, first @ second, None)
    each = geometry.warp(geometry.warp(images, first, None), second, None)
    middle = (..., slice(16, 24), slice(16, 24))
    assert torch.allclose(both[middle], each[middle], atol=1e-3)


def test_a_warp_can_be_seen_at_a_lower_resolution():
    images = random_images(2, 3, 32, 24)
    identity = torch.eye(3).repeat(2, 1, 1)
    result = geometry.warp(images, identity, torch.tensor(0.0), size=(16, 12))
    assert torch.allclose(result, F.avg_pool2d(images, 2), atol=1e-4)


# Reflection


@given(SHAPES, st.integers(1, 40))
def test_reflected_padding_is_what_numpy_calls_symmetric(shape, pad):
    images = random_images(*shape)
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="symmetric")
    assert np.array_equal(pad_images(images, pad, None).numpy(), expected)


@given(st.integers(-30, 30), st.integers(-30, 30))
def test_a_shift_over_a_reflected_edge_is_a_window_of_the_reflected_image(right, down):
    images = random_images(1, 2, 8, 8)
    matrices = geometry.affine(
        torch.zeros(1), torch.ones(1), torch.tensor([[2 * right / 8, 2 * down / 8]]), 1.0
    )
    result = geometry.warp(images, matrices, None)
    wide = pad_images(images, 40, None)
    window = wide[..., 40 - down : 48 - down, 40 - right : 48 - right]
    assert torch.allclose(result, window, atol=1e-3)


# Sizes


def test_resizing_keeps_flat_images_and_means_and_does_nothing_to_the_size_itself():
    images = random_images(2, 3, 48, 32)
    assert geometry.resize(images, (48, 32)) is images
    small = geometry.resize(images, (24, 16))
    assert small.shape == (2, 3, 24, 16)
    assert torch.allclose(small.mean((2, 3)), images.mean((2, 3)), atol=0.02)
    # Antialiased: a pattern finer than the pixels becomes even, not stripes.
    stripes = (torch.arange(96) % 2).float().expand(1, 1, 96, 96)
    assert geometry.resize(stripes, (36, 36))[..., 3:-3].std() < 0.05
