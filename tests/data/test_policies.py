"""RandAugment and TrivialAugment: PIL's operations, drawn for each image."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from atelier.data import geometry
from atelier.data.policies import OPERATIONS, Drawn, rand_augment, trivial_augment

# A smooth picture of which each channel spans most of the bytes.
_Y, _X = np.mgrid[0:24, 0:20]
PICTURE = np.stack([20 + 9 * _Y, 240 - 10 * _X, 10 + 4 * (_X + _Y)], -1).astype(np.uint8)


def drawn(name, strength, count=1):
    return Drawn(
        torch.full((count, 1), OPERATIONS.index(name)), torch.full((count, 1), float(strength))
    )


def recolored(name, strength, picture=PICTURE):
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    return (drawn(name, strength).recolor(pixels)[0] * 255).permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ("name", "strength", "change", "tolerance"),
    [
        ("identity", 1, lambda image: image, 0.01),
        ("brightness", 1, lambda image: ImageEnhance.Brightness(image).enhance(1.9), 1.01),
        ("brightness", -0.5, lambda image: ImageEnhance.Brightness(image).enhance(0.55), 1.01),
        ("contrast", 1, lambda image: ImageEnhance.Contrast(image).enhance(1.9), 2.01),
        ("color", -1, lambda image: ImageEnhance.Color(image).enhance(0.1), 1.6),
        ("posterize", 1, lambda image: ImageOps.posterize(image, 4), 0.01),
        ("posterize", 0.5, lambda image: ImageOps.posterize(image, 6), 0.01),
        ("posterize", 0, lambda image: image, 0.01),
        ("solarize", 0.5, lambda image: ImageOps.solarize(image, 128), 0.01),
        ("solarize", 0, lambda image: image, 0.01),
        ("auto-contrast", 1, ImageOps.autocontrast, 1.01),
    ],
)
def test_operations_are_those_of_pil(name, strength, change, tolerance):
    expected = np.asarray(change(Image.fromarray(PICTURE))).astype(float)
    assert np.abs(recolored(name, strength) - expected).max() <= tolerance


def test_sharpness_is_that_of_pil_but_for_the_border():
    for strength in (1, -1, 0.3):
        enhanced = ImageEnhance.Sharpness(Image.fromarray(PICTURE)).enhance(1 + 0.9 * strength)
        difference = recolored("sharpness", strength) - np.asarray(enhanced)
        assert np.abs(difference[1:-1, 1:-1]).max() <= 2.01


def test_equalizing_is_that_of_pil_where_there_are_enough_pixels():
    # PIL rounds the pixels of a step, which in a small picture adds up.
    large = np.tile(PICTURE, (16, 16, 1))
    expected = np.asarray(ImageOps.equalize(Image.fromarray(large))).astype(float)
    assert np.abs(recolored("equalize", 1, large) - expected).max() <= 2


def test_equalized_bytes_are_as_frequent_as_one_another():
    rng = np.random.default_rng(0)
    pixels = torch.from_numpy(rng.beta(2, 8, (2, 3, 64, 64))).float()
    result = drawn("equalize", 1, 2).recolor(pixels)
    for channel in result.flatten(0, 1):
        quarters = torch.histc(channel, 4, 0, 1) / channel.numel()
        assert torch.allclose(quarters, torch.tensor(0.25), atol=0.03)


@pytest.mark.parametrize("name", ["equalize", "auto-contrast"])
def test_flat_images_stay_as_they_are(name):
    flat = torch.full((2, 3, 5, 5), 0.4)
    assert torch.allclose(drawn(name, 1, 2).recolor(flat), flat)


@pytest.mark.parametrize("name", OPERATIONS)
def test_strength_0_changes_nothing_that_has_a_strength(name):
    if name in ("equalize", "auto-contrast"):
        return
    pixels = torch.from_numpy(PICTURE).permute(2, 0, 1)[None] / 255
    operation = drawn(name, 0)
    assert torch.allclose(operation.recolor(pixels), pixels, atol=1e-5)
    assert torch.allclose(operation.matrices(1.2), torch.eye(3))


def test_moves_are_matrices_of_the_warp():
    assert torch.allclose(
        drawn("rotate", 1).matrices(1.0),
        geometry.affine(torch.tensor([math.radians(30)]), torch.ones(1), torch.zeros(1, 2), 1.0),
    )
    images = torch.zeros(1, 1, 20, 20)
    images[..., 10, 10] = 1
    for name, place in (("translate-x", 10 * 20 + 19), ("translate-y", 19 * 20 + 10)):
        moved = geometry.warp(images, drawn(name, 1).matrices(1.0), torch.tensor(0.0))
        assert int(moved.argmax()) == place
    assert drawn("shear-x", -1).matrices(1.0)[0, 0].tolist() == pytest.approx([1, -0.3, 0])
    assert drawn("shear-y", 1).matrices(1.0)[0, 1].tolist() == pytest.approx([0.3, 1, 0])


def test_operations_follow_one_another_in_their_order():
    pixels = torch.from_numpy(PICTURE).permute(2, 0, 1)[None] / 255
    posterize, solarize = OPERATIONS.index("posterize"), OPERATIONS.index("solarize")
    both = Drawn(torch.tensor([[posterize, solarize]]), torch.tensor([[1.0, 0.5]]))
    alone = drawn("solarize", 0.5).recolor(drawn("posterize", 1).recolor(pixels))
    assert torch.equal(both.recolor(pixels), alone)


@given(st.integers(1, 40), st.integers(1, 4), st.floats(0, 1), st.integers(0, 1000))
def test_any_draw_gives_pixels(count, operations, strength, seed):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(count, 3, 6, 5, generator=generator)
    kept = pixels.clone()
    policy = rand_augment(count, operations=operations, strength=strength, generator=generator)
    result = policy.recolor(pixels)
    assert torch.equal(pixels, kept)
    assert result.shape == pixels.shape
    assert result.isfinite().all()
    assert 0 <= result.min() <= result.max() <= 1
    assert policy.matrices(1.2).shape == (count, 3, 3)


def test_draws_are_even_and_each_images_own():
    generator = torch.Generator().manual_seed(0)
    policy = rand_augment(7000, operations=2, strength=0.3, generator=generator)
    counts = torch.bincount(policy.operations.flatten(), minlength=len(OPERATIONS))
    assert counts.min() > 850
    assert counts.max() < 1150
    assert policy.strengths.unique().tolist() == pytest.approx([-0.3, 0.3])
    trivial = trivial_augment(7000, generator)
    assert trivial.operations.shape == (7000, 1)
    assert abs(float(trivial.strengths.mean())) < 0.03
    assert float(trivial.strengths.abs().mean()) == pytest.approx(0.5, abs=0.02)
