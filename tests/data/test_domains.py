"""Domains: pure functions of images, their ids and a seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from atelier.data import load_dataset
from atelier.data.domains import DOMAINS, to_domain
from atelier.errors import DataError


@pytest.fixture(scope="module")
def images():
    return np.array(load_dataset("fashion-mnist-sample").train.images[:12])


@pytest.mark.parametrize("name", DOMAINS)
def test_an_image_looks_the_same_in_whatever_batch_it_stands(images, name):
    ids = np.arange(len(images)) * 7
    whole = to_domain(images, name, ids=ids, seed=3)
    some = [4, 1, 9]
    assert (to_domain(images[some], name, ids=ids[some], seed=3) == whole[some]).all()
    assert whole.dtype == np.uint8
    assert whole.shape == images.shape
    assert (whole != images).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("name", ["textured", "photographed", "rotated"])
def test_what_is_drawn_follows_from_seed_part_and_id(images, name):
    first = to_domain(images, name, seed=0)
    assert (first == to_domain(images, name, seed=0)).all()
    assert (first != to_domain(images, name, seed=1)).any()
    assert (first != to_domain(images, name, part="test")).any()
    same = np.repeat(images[:1], 4, axis=0)
    assert len(np.unique(to_domain(same, name).reshape(4, -1), axis=0)) == 4


def test_inverted_and_mirrored_are_their_own_inverses(images):
    assert (to_domain(images, "inverted") == 255 - images).all()
    assert (to_domain(images, "mirrored") == images[..., ::-1]).all()


def test_thickened_is_the_dilation_of_scipy(images):
    y, x = np.mgrid[-2:3, -2:3]
    disk = y**2 + x**2 <= 2.5**2
    expected = [ndimage.grey_dilation(i[0], footprint=disk, mode="constant") for i in images]
    assert (to_domain(images, "thickened")[:, 0] == np.stack(expected)).all()


def test_texture_stands_behind_the_garment(images):
    changed = to_domain(images, "textured")
    garment = images >= 24
    assert (changed[garment] == images[garment]).all()
    assert changed[images == 0].std() > 10


def test_a_rotated_image_goes_by_20_to_50_degrees_either_way():
    bar = np.zeros((400, 1, 29, 29), np.uint8)
    bar[:, 0, 13:16, 4:25] = 255
    turned = to_domain(bar, "rotated")[:, 0].astype(float)
    y, x = np.mgrid[-14:15, -14:15]
    cross, along, across = ((turned * w).sum(axis=(1, 2)) for w in (x * y, x * x, y * y))
    degrees = np.rad2deg(0.5 * np.arctan2(2 * cross, along - across))
    assert 18 < np.abs(degrees).min() < 24
    assert 46 < np.abs(degrees).max() < 52
    assert 0.4 < (degrees > 0).mean() < 0.6


@given(
    st.sampled_from(list(DOMAINS)),
    st.integers(0, 3),
    st.sampled_from([1, 3]),
    st.integers(4, 40),
    st.integers(4, 40),
)
def test_any_number_size_and_channels(name, count, channels, height, width):
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, channels, height, width), dtype=np.uint8)
    changed = to_domain(images, name)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8


def test_an_unknown_domain_is_named(images):
    with pytest.raises(DataError, match=r"unknown domain; got 'invertd'.*mean 'inverted'\?"):
        to_domain(images, "invertd")
