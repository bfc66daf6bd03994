"""Augmentation: each image has a draw of its own, and each change is exactly what it says."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data.augment import Augmenter
from atelier.data.geometry import pad_images

CPU = torch.device("cpu")
SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(2, 14), st.integers(2, 14))
EVERYTHING = AugmentConfig(
    rotation_degrees=15,
    translation=0.1,
    scaling=0.2,
    mirror="random",
    crop_padding=2,
    erase_probability=0.5,
    cutout=4,
    resized_crop=0.3,
    aspect=0.3,
    perspective=0.2,
    edge="reflect",
    brightness=0.2,
    contrast=0.3,
    saturation=0.4,
    hue=0.1,
    tint=0.1,
    grayscale=0.1,
    light=0.3,
    policy="randaugment",
)
EACH = {
    "rotation": AugmentConfig(rotation_degrees=45),
    "translation": AugmentConfig(translation=0.3),
    "scaling": AugmentConfig(scaling=0.5),
    "mirror": AugmentConfig(mirror="random"),
    "crop": AugmentConfig(crop_padding=4),
    "erase": AugmentConfig(erase_probability=1),
    "cutout": AugmentConfig(cutout=6),
    "resized crop": AugmentConfig(resized_crop=0.25),
    "aspect": AugmentConfig(aspect=0.5),
    "perspective": AugmentConfig(perspective=0.3),
    "brightness": AugmentConfig(brightness=0.4),
    "contrast": AugmentConfig(contrast=0.4),
    "saturation": AugmentConfig(saturation=0.4),
    "hue": AugmentConfig(hue=0.5),
    "tint": AugmentConfig(tint=0.2),
    "grayscale": AugmentConfig(grayscale=0.5),
    "light": AugmentConfig(light=0.5),
    "randaugment": AugmentConfig(policy="randaugment"),
    "trivialaugment": AugmentConfig(policy="trivialaugment"),
    "everything": EVERYTHING,
}


def random_images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def augmenter(config, num_images=100, fill=(-1.5,), seed=0, epoch=1):
    made = Augmenter(config, torch.tensor(fill), num_images, seed, CPU)
    made.start_epoch(epoch, seed)
    return made


# The whole of it


@pytest.mark.parametrize("name", EACH)
def test_every_image_has_its_own_draw(name):
    same = random_images(1, 3, 28, 28).expand(32, 3, 28, 28).contiguous()
    result = augmenter(EACH[name], fill=(-1.5,) * 3)(same, torch.arange(32))
    different = len({image.numpy().tobytes() for image in result})
    assert different == 2 if name in ("mirror", "grayscale") else different > 16


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_passed_in_are_not_changed_and_the_shape_is_kept(name, layout):
    images = random_images(8, 3, 20, 28).contiguous(memory_format=layout)
    kept = images.clone()
    result = augmenter(EACH[name], fill=(0.0, 1.0, 2.0))(images, torch.arange(8))
    assert torch.equal(images, kept)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.isfinite().all()


@pytest.mark.parametrize("name", EACH)
def test_the_same_seed_draws_the_same_and_another_does_not(name):
    images, positions = random_images(16, 3, 28, 28), torch.arange(16)
    fill = (-1.5,) * 3
    augment = augmenter(EACH[name], fill=fill, seed=3)
    first, second = augment(images, positions), augment(images, positions)
    augment.start_epoch(1, 3)
    assert torch.equal(augment(images, positions), first)
    assert torch.equal(augmenter(EACH[name], fill=fill, seed=3)(images, positions), first)
    assert not torch.equal(second, first)
    augment.start_epoch(2, 4)
    assert not torch.equal(augment(images, positions), first)


@pytest.mark.parametrize("name", EACH)
def test_torchs_own_generator_is_left_alone(name):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    augmenter(EACH[name])(random_images(4, 1, 28, 28), torch.arange(4))
    assert torch.equal(torch.rand(3), expected)


def test_by_default_nothing_is_changed():
    images = random_images(4, 1, 28, 28)
    assert torch.equal(augmenter(AugmentConfig())(images, torch.arange(4)), images)


@given(SHAPES, st.integers(0, 100))
def test_every_size_is_taken(shape, seed):
    config = EVERYTHING.model_copy(update={"cutout": 20, "crop_padding": 30})
    images = random_images(*shape)
    result = augmenter(config, fill=(0.5,) * shape[1], seed=seed)(images, torch.arange(shape[0]))
    assert result.shape == images.shape
    assert result.isfinite().all()


# Mirror


def test_the_coin_of_the_random_mirror_is_fair():
    images = random_images(1, 1, 2, 2).expand(2000, 1, 2, 2)
    result = augmenter(EACH["mirror"])(images, torch.arange(2000))
    turned = (result != images).flatten(1).any(1).sum().item()
    assert 900 < turned < 1100


@given(st.integers(1, 50), st.integers(0, 1000), st.integers(1, 9))
def test_the_alternating_mirror_turns_each_image_once_in_two_epochs(count, seed, epoch):
    images = random_images(count, 1, 3, 4)
    augment = augmenter(AugmentConfig(mirror="alternating"), num_images=count, seed=seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    turned = []
    for number in (epoch, epoch + 1):
        augment.start_epoch(number, seed + number)
        result = augment(images[order], order)
        turned.append((result != images[order]).flatten(1).any(1))
        whole = torch.where(turned[-1].view(-1, 1, 1, 1), images[order].flip(-1), images[order])
        assert torch.equal(result, whole)
    assert torch.equal(turned[0], ~turned[1])


def test_the_alternating_mirror_starts_with_half_of_the_images():
    images = random_images(1000, 1, 2, 2)
    augment = augmenter(AugmentConfig(mirror="alternating"), num_images=1000)
    turned = (augment(images, torch.arange(1000)) != images).flatten(1).any(1).sum().item()
    assert 430 < turned < 570


# What comes in at the edges


@pytest.mark.parametrize("name", ["rotation", "translation", "scaling", "crop"])
def test_what_comes_in_at_the_edges_is_the_background_of_each_channel(name):
    fill = (-0.8, 0.3)
    images = torch.tensor(fill).view(1, 2, 1, 1).expand(8, 2, 12, 12)
    result = augmenter(EACH[name], fill=fill)(images, torch.arange(8))
    assert torch.allclose(result, images, atol=1e-5)


@given(st.integers(0, 1000))
def test_warps_stay_within_their_limits(seed):
    # A bright spot in the middle moves by the translation alone.
    images = torch.zeros(20, 1, 21, 21)
    images[..., 10, 10] = 1
    config = AugmentConfig(translation=0.2)
    result = augmenter(config, fill=(0.0,), seed=seed)(images, torch.arange(20))
    assert torch.allclose(result.sum((1, 2, 3)), torch.ones(20), atol=1e-3)
    place = torch.arange(21.0) - 10
    for axis in (2, 1):
        moved = (result[:, 0].sum(axis) * place).sum(1)
        assert (moved.abs() <= 0.2 * 21 + 1e-3).all()


# Crop


@given(SHAPES, st.integers(1, 5), st.integers(0, 1000))
def test_a_crop_is_a_window_of_the_padded_image(shape, pad, seed):
    images = random_images(*shape)
    config = AugmentConfig(crop_padding=pad)
    result = augmenter(config, fill=(0.25,) * shape[1], seed=seed)(images, torch.arange(shape[0]))
    padded = F.pad(images, (pad,) * 4, value=0.25)
    height, width = shape[-2:]
    for image, window in zip(padded, result, strict=True):
        assert any(
            torch.allclose(image[:, y : y + height, x : x + width], window, atol=1e-6)
            for y in range(2 * pad + 1)
            for x in range(2 * pad + 1)
        )


@given(SHAPES, st.integers(1, 5), st.integers(0, 1000))
def test_crops_are_those_of_one_image_after_the_other(shape, pad, seed):
    images = random_images(*shape)
    fill = torch.linspace(-1, 1, shape[1])
    augment = augmenter(AugmentConfig(crop_padding=pad), fill=fill.tolist(), seed=seed)
    result = augment(images, torch.arange(shape[0]))
    places = 2 * pad + 1
    draws = torch.rand(2, shape[0], generator=torch.Generator().manual_seed(seed))
    height, width = shape[-2:]
    for image, top, left, cropped in zip(images, *(draws * places).long(), result, strict=True):
        padded = pad_images(image[None], pad, fill.view(1, -1, 1, 1))[0]
        assert torch.equal(cropped, padded[:, top : top + height, left : left + width])


def test_every_place_is_cropped_as_often():
    # The one bright pixel tells which of the nine windows was drawn.
    images = torch.zeros(1800, 1, 3, 3)
    images[..., 1, 1] = 1
    result = augmenter(AugmentConfig(crop_padding=1), fill=(0.0,))(images, torch.arange(1800))
    counts = torch.bincount(result.flatten(1).argmax(1), minlength=9)
    assert counts.min() > 140
    assert counts.max() < 260


# Erasing and cutout


def changed(before, after):
    """(N, H, W) booleans, and that all channels agree."""
    different = before != after
    assert torch.equal(different.all(1), different.any(1))
    return different.any(1)


def box_of(mask):
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    assert mask[top:bottom, left:right].all(), "not a rectangle"
    return bottom - top, right - left


@given(st.floats(0.005, 0.9), st.integers(4, 30), st.integers(4, 30), st.integers(0, 1000))
def test_what_is_erased_is_a_rectangle_within_the_bounds(area, height, width, seed):
    images = random_images(8, 2, height, width)
    config = AugmentConfig(erase_probability=1, erase_area=area)
    result = augmenter(config, fill=(0.0, 0.0), seed=seed)(images, torch.arange(8))
    for mask in changed(images, result):
        tall, wide = box_of(mask)
        # Sides are whole pixels: half a pixel of rounding each, and at least one pixel.
        assert (tall - 0.5) * (wide - 0.5) <= max(area * height * width, tall, wide)
        assert (tall + 0.5) * (wide + 0.5) >= 0.999 * min(area, 0.02) * height * width or (
            tall == height or wide == width
        )


def test_erasing_spares_the_others():
    images = random_images(1000, 1, 12, 12)
    config = AugmentConfig(erase_probability=0.3)
    result = augmenter(config)(images, torch.arange(1000))
    erased = (images != result).flatten(1).any(1).sum().item()
    assert 240 < erased < 360


def test_what_is_erased_is_noise_of_mean_0_and_deviation_1():
    images = torch.full((500, 1, 16, 16), 5.0)
    config = AugmentConfig(erase_probability=1, erase_area=0.5)
    result = augmenter(config)(images, torch.arange(500))
    noise = result[result != 5.0]
    assert abs(noise.mean().item()) < 0.05
    assert abs(noise.std().item() - 1) < 0.05


@given(st.integers(1, 12), st.integers(6, 20), st.integers(6, 20), st.integers(0, 1000))
def test_cutout_is_a_square_of_zeros_of_which_a_part_may_lie_outside(side, height, width, seed):
    images = random_images(16, 2, height, width) + 10
    result = augmenter(AugmentConfig(cutout=side), fill=(0.0, 0.0), seed=seed)(
        images, torch.arange(16)
    )
    assert (result[images != result] == 0).all()
    for mask in changed(images, result):
        tall, wide = box_of(mask)
        assert tall <= side
        assert wide <= side
        # Nothing is cut off but at an edge.
        rows, columns = mask.any(1), mask.any(0)
        assert tall == side or rows[0] or rows[-1]
        assert wide == side or columns[0] or columns[-1]


def test_a_cutout_of_which_all_lies_inside_has_its_full_size():
    images = torch.ones(200, 1, 20, 20)
    result = augmenter(AugmentConfig(cutout=6))(images, torch.arange(200))
    cut = (result == 0).flatten(1).sum(1)
    assert cut.max() == 36
    assert (cut == 36).sum() > 60
    assert cut.min() >= 9
