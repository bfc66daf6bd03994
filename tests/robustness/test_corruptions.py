"""Corruptions: what a user would see of them."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from atelier.data import load_dataset
from atelier.errors import ConfigError
from atelier.robustness.corruptions import CORRUPTIONS, corrupt, corruptions_of

SHAPES = st.tuples(
    st.integers(1, 3), st.sampled_from([1, 3]), st.integers(8, 40), st.integers(8, 40)
)
NAMES = st.sampled_from(sorted(CORRUPTIONS))


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def garments():
    return np.array(load_dataset("fashion-mnist-sample").test.images[:60])


@settings(max_examples=25)
@given(shape=SHAPES, name=NAMES, seed=st.integers(0, 5))
def test_shape_and_type_stay_and_the_original_is_left_alone(shape, name, seed):
    images = noise(shape, seed)
    before = images.copy()
    for severity in (0, *CORRUPTIONS[name].severities):
        changed = corrupt(images, name, severity, seed=seed, background=200)
        assert changed.shape == shape
        assert changed.dtype == np.uint8
        assert not np.shares_memory(changed, images)
    np.testing.assert_array_equal(images, before)


@settings(max_examples=25)
@given(shape=SHAPES, name=NAMES)
def test_at_zero_nothing_happens(shape, name):
    images = noise(shape)
    np.testing.assert_array_equal(corrupt(images, name, 0), images)


@settings(max_examples=25)
@given(shape=SHAPES)
def test_two_mirrors_are_none(shape):
    images = noise(shape)
    once = corrupt(images, "mirror", 1)
    np.testing.assert_array_equal(once, images[..., ::-1])
    np.testing.assert_array_equal(corrupt(once, "mirror", 1), images)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "mirror"])
@pytest.mark.parametrize("colors", [False, True])
def test_each_severity_is_further_from_the_original(garments, name, colors):
    images = np.repeat(garments, 3, axis=1) if colors else garments
    distances = [
        np.square(corrupt(images, name, severity).astype(float) - images).mean()
        for severity in range(6)
    ]
    assert distances[0] == 0
    assert np.diff(distances).min() > 0
    assert len(CORRUPTIONS[name].levels) == 5


@pytest.mark.parametrize("name", ["noise", "brightness", "occlusion", "contrast"])
def test_each_image_by_itself_gets_worse(garments, name):
    distances = np.array(
        [
            np.abs(corrupt(garments, name, severity).astype(float) - garments).mean(axis=(1, 2, 3))
            for severity in range(6)
        ]
    )
    # An occlusion in the gray of what it hides changes nothing; rounding gives and takes a little.
    assert np.diff(distances, axis=0).min() > -0.2


@settings(max_examples=40)
@given(name=NAMES, order=st.permutations(range(6)))
def test_what_an_image_gets_depends_on_its_id_alone(name, order):
    images, ids = noise((6, 1, 14, 12)), np.array([3, 9, 40, 41, 7, 100_000])
    all_at_once = corrupt(images, name, 1, ids=ids, seed=4)
    order = np.array(order)
    np.testing.assert_array_equal(
        corrupt(images[order], name, 1, ids=ids[order], seed=4), all_at_once[order]
    )
    np.testing.assert_array_equal(
        corrupt(images[2:3], name, 1, ids=ids[2:3], seed=4), all_at_once[2:3]
    )


@pytest.mark.parametrize("name", ["noise", "shift", "rotation", "elastic", "occlusion"])
def test_other_seeds_and_other_images_get_other_draws(name):
    same = np.repeat(noise((1, 1, 28, 28)), 8, axis=0)
    first, second = corrupt(same, name, 5, seed=0), corrupt(same, name, 5, seed=1)
    assert (first != second).any()
    assert (first[0] != first).any()


def test_what_comes_in_from_outside_is_the_background():
    images = np.full((4, 3, 28, 28), 77, np.uint8)
    for name in ("shift", "rotation", "scale", "elastic"):
        np.testing.assert_array_equal(corrupt(images, name, 5, background=77), images)
        assert (corrupt(images, name, 5, background=0) == 0).any()


def test_a_shift_is_by_whole_pixels_of_fashion_mnist():
    images = noise((40, 1, 28, 28))
    moved = corrupt(images, "shift", 3)
    found = set()
    for image, other in zip(images, moved, strict=True):
        for by in ((3, 0), (-3, 0), (0, 3), (0, -3)):
            inside = np.roll(image, by, axis=(1, 2))[:, 3:-3, 3:-3]
            if np.array_equal(inside, other[:, 3:-3, 3:-3]):
                found.add(by)
    assert len(found) == 4


def test_noise_is_as_strong_as_it_says():
    images = np.full((20, 1, 28, 28), 128, np.uint8)
    changed = corrupt(images, "noise", 3).astype(float) - 128
    assert changed.std() == pytest.approx(0.12 * 255, rel=0.02)
    assert abs(changed.mean()) < 1


def test_blur_keeps_the_mean_and_reaches_as_far_at_every_size():
    spread = []
    for side in (28, 84):
        images = np.zeros((1, 1, side, side), np.uint8)
        images[..., side // 2 :] = 255
        changed = corrupt(images, "blur", 4).astype(float)
        assert changed.mean() == pytest.approx(images.mean(), abs=1)
        row = changed[0, 0, side // 2]
        spread.append(((row > 40) & (row < 215)).sum() / side)
    assert spread[0] == pytest.approx(spread[1], abs=0.04)


def test_an_occlusion_is_one_gray_rectangle_inside():
    changed = corrupt(np.zeros((30, 1, 20, 30), np.uint8), "occlusion", 3)
    assert set(np.unique(changed)) == {0, 127}
    assert ((changed == 127).sum(axis=(1, 2, 3)) == 8 * 12).all()


@pytest.mark.parametrize("severity", [1, 5])
def test_gray_jpegs_are_those_of_pillow(severity):
    images = noise((5, 1, 28, 20))
    quality = round(100 * (1 - CORRUPTIONS["jpeg"].levels[severity - 1]))
    for image, changed in zip(images, corrupt(images, "jpeg", severity), strict=True):
        file = io.BytesIO()
        Image.fromarray(image[0]).save(file, "JPEG", quality=quality)
        np.testing.assert_array_equal(np.asarray(Image.open(file)), changed[0])


def test_colored_jpegs_are_those_of_pillow_but_for_the_edge():
    images = corrupt(noise((3, 3, 40, 48)), "blur", 3)
    for image, changed in zip(images, corrupt(images, "jpeg", 2), strict=True):
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "JPEG", quality=35)
        alone = np.asarray(Image.open(file)).transpose(2, 0, 1).astype(int)
        assert np.abs(alone - changed)[:, 8:24, 8:32].max() <= 1
        assert np.abs(alone - changed).mean() < 1


def test_no_images_are_no_error():
    assert corrupt(np.empty((0, 1, 28, 28), np.uint8), "noise", 3).shape == (0, 1, 28, 28)


def test_what_does_not_exist_is_named():
    images = noise((1, 1, 8, 8))
    with pytest.raises(ConfigError, match=r"unknown corruption; got 'nois'\. Did you mean 'noise'"):
        corrupt(images, "nois", 1)
    with pytest.raises(ConfigError, match="mirror has no such severity; got 2; allowed: 0 to 1"):
        corrupt(images, "mirror", 2)
    with pytest.raises(ConfigError, match="blur has no such severity; got -1"):
        corrupt(images, "blur", -1)


def test_chosen_corruptions_come_once_and_in_order():
    assert [one.name for one in corruptions_of(["jpeg", "noise", "jpeg"])] == ["noise", "jpeg"]
    assert len(corruptions_of(None)) == len(CORRUPTIONS) == 11
    assert corruptions_of([]) == ()
