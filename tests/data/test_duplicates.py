"""Copies are found whatever was done to them; things that look alike are not."""

import io
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from atelier.data.duplicates import (
    candidates,
    find_pairs,
    groups_of,
    near_duplicates,
    perceptual_hashes,
)

SIDE = 96


def array_of(picture):
    return np.ascontiguousarray(np.asarray(picture).transpose(2, 0, 1))


def picture_of(pixels):
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def photo(seed):
    """Soft light and dark patches with edges in them, as no two photos share."""
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    ground = ground.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(5):
        corners = [tuple(point) for point in rng.integers(0, SIDE, (3, 2)).tolist()]
        draw.polygon(corners, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return array_of(ground.filter(ImageFilter.GaussianBlur(1)))


def shirt(color, print_seed=None):
    """A T-shirt on white, with a print of its own; all of one cut."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    outline = [(30, 15), (66, 15), (88, 32), (78, 44), (70, 38), (70, 84), (26, 84), (26, 38)]
    draw.polygon([*outline, (18, 44), (8, 32)], fill=color)
    if print_seed is not None:
        rng = np.random.default_rng(print_seed)
        for left, top, width, height in rng.integers((32, 32, 6, 6), (54, 60, 14, 20), (4, 4)):
            box = (left, top, left + width, top + height)
            draw.rectangle([int(edge) for edge in box], fill=tuple(rng.integers(0, 256, 3)))
    return array_of(picture.filter(ImageFilter.GaussianBlur(0.7)))


def compressed(pixels, quality=50):
    file = io.BytesIO()
    picture_of(pixels).save(file, "JPEG", quality=quality)
    return array_of(Image.open(file))


def scaled(pixels, side=60):
    small = picture_of(pixels).resize((side, side), Image.Resampling.BICUBIC)
    return array_of(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def lightened(pixels, factor):
    return array_of(ImageEnhance.Brightness(picture_of(pixels)).enhance(factor))


def mirrored(pixels):
    return np.ascontiguousarray(pixels[..., ::-1])


CHANGES = {
    "nothing": lambda pixels: pixels,
    "compressed": compressed,
    "scaled": scaled,
    "lightened": lambda pixels: lightened(pixels, 1.08),
    "darkened": lambda pixels: lightened(pixels, 0.85),
    "mirrored": mirrored,
    "all at once": lambda pixels: compressed(lightened(scaled(mirrored(pixels)), 0.9), 60),
}


@pytest.fixture(scope="module")
def originals():
    prints = [shirt((60, 90, 160), seed) for seed in range(4)]
    return np.stack([*map(photo, range(8)), *prints])


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_and_nothing_else(originals, change):
    copies = np.stack([CHANGES[change](pixels) for pixels in originals])
    images = np.concatenate([originals, copies])
    found = find_pairs(images, perceptual_hashes(images))
    count = len(originals)
    assert found.first.tolist() == list(range(count))
    assert found.second.tolist() == list(range(count, 2 * count))
    assert found.exact.all() == (change in ("nothing", "mirrored"))
    if change not in ("nothing", "scaled"):  # a print may be nearly symmetric
        assert found.mirrored[:8].all() == (change in ("mirrored", "all at once"))
    pairs = near_duplicates(images, perceptual_hashes(images))
    assert pairs == [(k, k + count) for k in range(count)]


def test_products_of_one_cut_are_not_copies():
    images = np.stack(
        [
            shirt((60, 90, 160)),
            shirt((170, 60, 60)),  # another color
            shirt((60, 90, 160), 1),  # prints
            shirt((60, 90, 160), 2),
            shirt((235, 235, 235)),  # white on white
            shirt((235, 235, 235), 3),
        ]
    )
    assert near_duplicates(images, perceptual_hashes(images)) == []


def test_real_products_without_copies_give_none(sample):
    images = np.concatenate([sample.train.images, sample.test.images])
    assert near_duplicates(images, perceptual_hashes(images)) == []


def test_empty_images_of_one_color_are_copies_and_of_two_are_not():
    plain = np.zeros((4, 3, 20, 20), np.uint8)
    plain[1:3] = np.array([250, 250, 250])[:, None, None]
    plain[3] = np.array([200, 20, 20])[:, None, None]
    assert near_duplicates(plain, perceptual_hashes(plain)) == [(1, 2)]


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 8, 12)])
def test_no_image_and_one_image(count, shape):
    images = np.zeros((count, *shape), np.uint8)
    hashes = perceptual_hashes(images)
    assert hashes.dtype == np.uint64
    assert hashes.shape == (count,)
    assert near_duplicates(images, hashes) == []
    assert groups_of(count, []).tolist() == [0] * count


def test_blocks_change_no_hash(originals):
    many = np.tile(originals, (20, 1, 1, 1))
    assert np.array_equal(perceptual_hashes(many), np.tile(perceptual_hashes(originals), 20))


def test_a_crowd_of_the_same_is_one_group_with_few_pairs():
    images = np.tile(photo(3)[:, ::4, ::4], (500, 1, 1, 1))
    pairs = near_duplicates(images, perceptual_hashes(images))
    assert len(pairs) <= 500 * 32
    assert not groups_of(500, pairs).any()


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 63), st.integers(0, 10))
def test_near_hashes_are_candidates(values, bit, flips):
    hashes = np.array([*values, *values[:3]], np.uint64)
    for k in range(flips):
        hashes[: len(values)] ^= np.uint64(1 << (bit + k) % 64)
    found = {
        (int(i), int(j))
        for first, second, *_ in candidates(hashes)
        for i, j in zip(first, second, strict=True)
    }
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 10
    wanted = {(int(i), int(j)) for i, j in zip(*near.nonzero(), strict=True) if i < j}
    assert wanted <= found


def test_many_hashes_take_bounded_time():
    hashes = np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64)
    hashes[9_000] = hashes[5]
    start = time.process_time()
    found = [
        (int(i), int(j))
        for first, second, *_ in candidates(hashes)
        for i, j in zip(first, second, strict=True)
    ]
    assert (5, 9_000) in found
    assert time.process_time() - start < 5


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30),
        )
    )
)
def test_groups_are_what_pairs_connect(case):
    count, pairs = case
    expected = list(range(count))
    for _ in range(count):
        for i, j in pairs:
            expected[i] = expected[j] = min(expected[i], expected[j])
    groups = groups_of(count, pairs)
    assert groups.dtype == np.int64
    assert groups.tolist() == expected
