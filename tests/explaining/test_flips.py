"""Changes that turn an answer turn it, and none of their parts is idle."""

import numpy as np
import pytest

from atelier.explaining.flips import _covered, _moved, least_change, least_cover, region_of

from .conftest import make_images, make_subject


@pytest.fixture(scope="module")
def subject():
    return make_subject("cnn", shifted=False, seed=3)


@pytest.fixture(scope="module")
def images(subject):
    return make_images(subject, 12, seed=4)


def answer(subject, pixels):
    return subject.card.classes[int(subject.predictor.logits(pixels[None]).argmax())]


def test_a_cover_turns_the_answer_and_needs_all_its_patches(subject, images):
    flips = [(image, least_cover(subject, image)) for image in images]
    assert any(flip is not None for _, flip in flips)
    for image, flip in flips:
        if flip is None:
            continue
        called = answer(subject, image)
        assert answer(subject, flip.pixels) == flip.became != called
        boxes = [tuple(box) for box in flip.covered.tolist()]
        assert (_covered(image, boxes, 0) == flip.pixels).all()
        for box in boxes if len(boxes) > 1 else ():
            fewer = _covered(image, [other for other in boxes if other != box], 0)
            assert answer(subject, fewer) == called
        assert f"covering {len(boxes)} of 49 patches" in str(flip)


def test_the_least_change_turns_the_answer_into_the_wanted_class_alone(subject, images):
    wanted = 2
    for image in images:
        called = answer(subject, image)
        free, told = least_change(subject, image), least_change(subject, image, wanted)
        if free is not None:
            assert answer(subject, free.pixels) == free.became != called
            assert free.difference == pytest.approx(
                np.abs(free.pixels.astype(float) - image).mean() / 255
            )
        if told is not None:
            assert free is not None
            assert told.became == "class 2"
            assert told.difference >= free.difference


def test_nothing_turns_an_answer_into_itself(subject, images):
    called = int(subject.predictor.logits(images[:1]).argmax())
    assert least_change(subject, images[0], called) is None
    assert least_cover(subject, images[0], called) is None


def test_an_image_is_moved_over_the_background():
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    moved = _moved(image, 1, -2, 99)
    assert moved[0].tolist() == [[99] * 4, [2, 3, 99, 99], [6, 7, 99, 99]]


@pytest.mark.parametrize(
    ("rows", "columns", "words"),
    [
        (slice(0, 3), slice(0, 3), "at the top left"),
        (slice(20, 27), slice(12, 15), "at the bottom"),
        (slice(12, 15), slice(20, 27), "at the right"),
        (slice(10, 17), slice(10, 17), "in the middle"),
        (slice(0, 0), slice(0, 0), "nowhere"),
    ],
)
def test_a_region_has_words(rows, columns, words):
    weights = np.zeros((28, 28))
    weights[rows, columns] = 1
    assert region_of(weights) == words
