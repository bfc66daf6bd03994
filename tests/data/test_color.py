"""Changes of color, as PIL knows them, on images that are normalized."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from atelier.data import color

MEAN, STD = torch.tensor([0.6, 0.5, 0.4]), torch.tensor([0.2, 0.25, 0.3])
LUMA = color.luma_of(3, torch.device("cpu"))


def pixels_of(count=3, size=(7, 9), seed=0):
    """(N, 3, H, W) floats in 0.2..0.6, far from what PIL cuts off."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(51, 153, (count, 3, *size)) / 255).float()


def normalized(pixels):
    return (pixels - MEAN.view(-1, 1, 1)) / STD.view(-1, 1, 1)


def recolored(pixels, maps):
    """By way of normalized images, as the training does."""
    result = color.recolor(normalized(pixels), maps, MEAN, STD)
    return result * STD.view(-1, 1, 1) + MEAN.view(-1, 1, 1)


def by_pil(enhance, pixels, factor):
    images = (pixels * 255).round().byte().permute(0, 2, 3, 1).numpy()
    made = [np.asarray(enhance(Image.fromarray(image)).enhance(factor)) for image in images]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2) / 255


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.4])
def test_brightness_contrast_and_saturation_are_those_of_pil(factor):
    pixels = pixels_of()
    factors = torch.full((3,), factor)
    grey = pixels.mean((2, 3)) @ LUMA
    mine = {
        ImageEnhance.Brightness: color.gain(factors[:, None].expand(-1, 3)),
        ImageEnhance.Contrast: color.contrast(factors, grey, 3),
        ImageEnhance.Color: color.saturation(factors, LUMA),
    }
    for enhance, maps in mine.items():
        expected = by_pil(enhance, pixels, factor)
        assert torch.allclose(recolored(pixels, maps), expected, atol=1.6 / 255), enhance


@given(st.floats(-1, 1), st.integers(0, 100))
def test_a_turned_hue_keeps_luma_and_greys_and_a_full_turn_keeps_all(turn, seed):
    pixels = pixels_of(seed=seed)
    result = recolored(pixels, color.hue(torch.full((3,), turn)))
    luma = torch.einsum("nchw,c->nhw", result - pixels, LUMA)
    assert luma.abs().max() < 1e-4
    grey = pixels[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(recolored(grey, color.hue(torch.full((3,), turn))), grey, atol=1e-3)
    back = recolored(result, color.hue(torch.full((3,), 1 - turn)))
    assert torch.allclose(back, pixels, atol=1e-3)


def test_half_a_turn_makes_red_bluish_green():
    red = torch.zeros(1, 3, 2, 2)
    red[:, 0] = 0.8
    result = recolored(red, color.hue(torch.tensor([0.5])))[0, :, 0, 0]
    assert result[0] < result[1]
    assert result[0] < result[2]


@given(st.floats(0, 2), st.floats(0, 2), st.floats(-0.5, 0.5))
def test_maps_one_after_the_other_are_one_map(first, second, turn):
    pixels = pixels_of(1)
    a, b = color.saturation(torch.tensor([first]), LUMA), color.hue(torch.tensor([turn]))
    c = color.gain(torch.tensor([[second, 1.0, 0.5]]))
    each = recolored(recolored(recolored(pixels, a), b), c)
    assert torch.allclose(recolored(pixels, c @ b @ a), each, atol=1e-4)


def test_every_image_has_its_own_map():
    pixels = pixels_of(2)
    result = recolored(pixels, color.gain(torch.tensor([[1.0, 1, 1], [2.0, 2, 2]])))
    assert torch.allclose(result[0], pixels[0], atol=1e-6)
    assert torch.allclose(result[1], 2 * pixels[1], atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels_and_layout(channels):
    images = torch.randn(2, channels, 5, 6, generator=torch.Generator().manual_seed(0))
    luma = color.luma_of(channels, torch.device("cpu"))
    assert float(luma.sum()) == pytest.approx(1)
    maps = color.saturation(torch.zeros(2), luma)
    zero, one = torch.zeros(channels), torch.ones(channels)
    result = color.recolor(images, maps, zero, one)
    grey = torch.einsum("nchw,c->nhw", images, luma)
    assert torch.allclose(result, grey[:, None].expand_as(images), atol=1e-6)
    last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(color.recolor(last, maps, zero, one), result)


@pytest.mark.parametrize(("angle", "side"), [(0.0, (0, 1)), (math.pi / 2, (1, 0))])
def test_light_rises_evenly_to_one_side(angle, side):
    pixels = torch.full((1, 3, 8, 8), 0.5)
    lit = color.shade(normalized(pixels), torch.tensor([0.4]), torch.tensor([angle]), MEAN, STD)
    lit = lit * STD.view(-1, 1, 1) + MEAN.view(-1, 1, 1)
    expected = 0.5 * (1 + 0.4 * ((2 * torch.arange(8) + 1) / 8 - 1))
    expected = expected.expand(8, 8) if side == (0, 1) else expected.expand(8, 8).T
    assert torch.allclose(lit, expected.expand(1, 3, 8, 8), atol=1e-5)
