"""Augmentation of photos: what is asked for happens to the pixels, however they are normalized."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data import color
from atelier.data.augment import Augmenter
from atelier.data.resolution import Growth

CPU = torch.device("cpu")
LUMA = color.luma_of(3, CPU)
COLORS = {
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.5,
    "hue": 0.2,
    "tint": 0.2,
    "grayscale": 0.5,
    "light": 0.5,
}
MOVES = {
    "resized crop": {"resized_crop": 0.2, "aspect": 0.5},
    "perspective": {"perspective": 0.4},
    "translation": {"translation": 0.4},
    "rotation": {"rotation_degrees": 90.0},
    "scaling": {"scaling": 0.5},
    "padding": {"crop_padding": 9},
    "policy": {"policy": "randaugment", "policy_strength": 1.0},
}


def photos(count=4, size=(24, 20), seed=0, channels=3):
    """Smooth (N, C, H, W) pixels in 0..1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 5, 5, generator=generator)
    return F.interpolate(coarse, size, mode="bilinear", align_corners=False)


def augmented(pixels, mean=None, std=None, *, background=0.0, seed=0, epoch=1, growth=None, **sets):
    """Pixels in, pixels out; in between they are normalized as for a training."""
    channels = pixels.shape[1]
    mean, std = mean or [0.0] * channels, std or [1.0] * channels
    m, s = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    fill = ((background - m) / s).flatten()
    made = Augmenter(
        AugmentConfig(**sets), fill, len(pixels), seed, CPU, mean=mean, std=std, growth=growth
    )
    made.start_epoch(epoch, seed)
    return made((pixels - m) / s, torch.arange(len(pixels))) * s + m


@pytest.mark.parametrize("sets", [*({k: v} for k, v in COLORS.items()), COLORS, *MOVES.values()])
def test_pixels_change_alike_however_they_are_normalized(sets):
    pixels = photos(8)
    plain = augmented(pixels, **sets)
    other = augmented(pixels, [0.7, 0.5, 0.2], [0.1, 0.3, 0.25], **sets)
    assert torch.allclose(plain, other, atol=1e-4)
    assert not torch.allclose(plain, pixels, atol=1e-3)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_brightness_and_light_stay_within_their_limits(limit, seed):
    pixels = photos(seed=seed)
    ratio = augmented(pixels, seed=seed, brightness=limit) / pixels
    assert 1 - limit - 1e-4 <= ratio.min() <= ratio.max() <= 1 + limit + 1e-4
    # One factor for each image.
    assert torch.allclose(ratio.amax((1, 2, 3)), ratio.amin((1, 2, 3)), atol=1e-3)
    ratio = augmented(pixels, seed=seed, light=limit) / pixels
    assert (ratio - 1).abs().max() <= limit * 2**0.5 + 1e-4
    assert torch.allclose(ratio.mean((1, 2, 3)), torch.ones(4), atol=1e-3)


@given(st.floats(0, 1), st.integers(0, 1000))
def test_contrast_keeps_the_mean_grey_and_saturation_and_hue_every_luma(limit, seed):
    pixels = photos(seed=seed)
    grey = torch.einsum("nchw,c->nhw", pixels, LUMA)
    changed = augmented(pixels, seed=seed, contrast=limit, brightness=0.0)
    mean = torch.einsum("nchw,c->nhw", changed, LUMA).mean((1, 2))
    assert torch.allclose(mean, grey.mean((1, 2)), atol=1e-4)
    for sets in ({"saturation": limit}, {"hue": limit / 2}, {"grayscale": limit}):
        result = torch.einsum("nchw,c->nhw", augmented(pixels, seed=seed, **sets), LUMA)
        assert torch.allclose(result, grey, atol=1e-4)


def test_contrast_is_about_the_grey_that_brightness_has_left():
    pixels = photos()
    both = augmented(pixels, brightness=0.5, contrast=0.5, tint=0.3)
    bright = augmented(pixels, brightness=0.5, tint=0.3)
    mean, expected = (
        torch.einsum("nchw,c->nhw", images, LUMA).mean((1, 2)) for images in (both, bright)
    )
    assert torch.allclose(mean, expected, atol=1e-4)


def test_grayscale_takes_the_color_of_so_many_images():
    pixels = photos(1, (4, 4)).expand(1000, 3, 4, 4).contiguous()
    result = augmented(pixels, grayscale=0.3)
    grey = (result.amax(1) - result.amin(1)).amax((1, 2)) < 1e-4
    assert 240 < int(grey.sum()) < 360
    assert torch.allclose(result[~grey], pixels[~grey], atol=1e-5)


@pytest.mark.parametrize("name", ["saturation", "hue", "tint", "grayscale"])
def test_grey_images_have_no_color_to_change(name):
    pixels = photos(channels=1)
    assert torch.allclose(augmented(pixels, **{name: COLORS[name]}), pixels, atol=1e-6)


@pytest.mark.parametrize("name", MOVES)
def test_a_reflected_edge_shows_nothing_that_was_not_there(name):
    pixels = 0.4 + 0.2 * photos(16)
    sets = {**MOVES[name], "edge": "reflect"}
    result = augmented(pixels, background=-5.0, **sets)
    if name != "policy":
        assert 0.4 - 1e-4 <= result.min() <= result.max() <= 0.6 + 1e-4
    if name not in ("resized crop", "policy"):  # a crop lies within the image
        assert augmented(pixels, background=-5.0, **MOVES[name]).min() < 0


@given(st.floats(0.1, 1), st.floats(0, 1), st.integers(0, 1000))
def test_a_resized_crop_never_shows_the_background(area, aspect, seed):
    pixels = torch.ones(8, 3, 12, 16)
    result = augmented(pixels, background=-9.0, resized_crop=area, aspect=aspect, seed=seed)
    # Within half a pixel of the edge the warp takes in what lies beyond, as everywhere.
    assert torch.allclose(result[..., 1:-1, 1:-1], torch.ones(8, 3, 10, 14), atol=1e-4)


# Sizes


@pytest.mark.parametrize("sets", [{}, MOVES["resized crop"], MOVES["padding"], COLORS])
def test_images_come_in_the_size_of_their_epoch(sets):
    pixels = photos(3, (64, 48))
    growth = Growth(32, 0.5, 4, (64, 48))
    for epoch, size in ((1, (32, 24)), (2, (48, 36)), (3, (64, 48)), (4, (64, 48))):
        result = augmented(pixels, growth=growth, epoch=epoch, **sets)
        assert result.shape == (3, 3, *size)
        whole = augmented(pixels, epoch=epoch, **sets)
        if size == (64, 48):
            assert torch.equal(result, whole)
        else:  # the same picture, but smaller
            smaller = F.interpolate(whole, size, mode="bilinear", antialias=True)
            assert torch.allclose(result, smaller, atol=0.06)


def test_a_cutout_is_as_large_a_part_of_a_small_image():
    pixels = torch.ones(200, 1, 64, 64)
    growth = Growth(32, 1, 100, (64, 64))
    small = augmented(pixels, growth=growth, cutout=16) == 0
    large = augmented(pixels, cutout=16) == 0
    assert int(small.sum((1, 2, 3)).max()) == 8 * 8
    assert int(large.sum((1, 2, 3)).max()) == 16 * 16


@pytest.mark.parametrize("sets", [*MOVES.values(), COLORS])
def test_what_convolutions_are_given_has_channels_last(sets):
    if sets == MOVES["padding"]:
        sets = {**sets, "brightness": 0.1}
    assert augmented(photos(), **sets).is_contiguous(memory_format=torch.channels_last)
