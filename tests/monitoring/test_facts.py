from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atelier.monitoring import Asked, image_facts, logged_predictions
from atelier.monitoring.facts import NAMES

SHAPES = st.tuples(
    st.integers(0, 3), st.sampled_from([1, 3]), st.integers(1, 20), st.integers(1, 20)
)


@given(arrays(np.uint8, SHAPES))
def test_any_image_has_finite_facts_within_their_ranges(images: np.ndarray) -> None:
    facts = image_facts(images)
    assert facts.stats.shape == (len(images), len(NAMES))
    assert facts.thumbnails.shape == (len(images), 64)
    assert facts.stats.dtype == np.float32
    assert facts.thumbnails.dtype == np.uint8
    assert np.isfinite(facts.stats).all()
    assert (np.abs(facts.stats) <= 1.0001).all()


@given(arrays(np.uint8, SHAPES.filter(lambda shape: shape[0] > 0)))
def test_facts_of_an_image_do_not_depend_on_its_batch(images: np.ndarray) -> None:
    together = image_facts(images)
    for k in range(len(images)):
        alone = image_facts(images[k : k + 1])
        np.testing.assert_allclose(alone.stats[0], together.stats[k], atol=2e-5)
        np.testing.assert_allclose(
            alone.thumbnails[0].astype(int), together.thumbnails[k].astype(int), atol=1
        )


def test_the_facts_are_what_their_names_say() -> None:
    image = np.zeros((1, 1, 10, 10), np.uint8)
    image[..., 5:] = 250  # the right half is light
    stats = dict(zip(NAMES, image_facts(image).stats[0], strict=True))
    assert stats["brightness"] == pytest.approx(125 / 255, abs=1e-5)
    assert stats["contrast"] == pytest.approx(125 / 255, abs=1e-5)
    assert stats["dark share"] == stats["light share"] == pytest.approx(0.5)
    assert stats["left to right"] == pytest.approx(250 / 255, abs=1e-5)
    assert stats["top to bottom"] == pytest.approx(0, abs=1e-6)
    assert stats["sharpness"] == pytest.approx(250 / 9 / 255 / 2, abs=1e-5)
    assert stats["colorfulness"] == 0
    red = np.zeros((1, 3, 4, 4), np.uint8)
    red[:, 0] = 255
    assert image_facts(red).stats[0, NAMES.index("colorfulness")] == 1


def test_a_mirror_and_an_inversion_are_seen() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 1, 28, 28), dtype=np.uint8)
    images[..., :14] //= 2
    facts, mirrored = image_facts(images), image_facts(images[..., ::-1])
    inverted = image_facts(255 - images)
    column = NAMES.index("left to right")
    np.testing.assert_allclose(mirrored.stats[:, column], -facts.stats[:, column], atol=2e-5)
    np.testing.assert_allclose(inverted.stats[:, 0], 1 - facts.stats[:, 0], atol=2e-5)
    np.testing.assert_allclose(
        inverted.stats[:, 2], (images >= 223).mean(axis=(1, 2, 3)), atol=1e-5
    )
    # 28 pixels are no multiple of 8 fields: not to the byte.
    grid = facts.thumbnails.reshape(-1, 8, 8)[:, :, ::-1].astype(int)
    assert np.abs(mirrored.thumbnails.reshape(-1, 8, 8) - grid).mean() < 15


def test_rows_of_a_request() -> None:
    images = np.zeros((2, 1, 8, 8), np.uint8)
    answers = SimpleNamespace(
        probs=np.array([[0.7, 0.3], [0.45, 0.55]], np.float32),
        embedding=np.array([[1.5, -2], [0, 4]], np.float32),
    )
    asked = [Asked("r", 0, image_sha256="x"), Asked("s", 2, client="shop", image_sha256="y")]
    first, second = logged_predictions(
        asked,
        images,
        answers,
        model="m",
        version="v",
        classes=("a", "b"),
        threshold=0.6,
    )
    assert (first.predicted, first.unknown, first.image_index) == ("a", False, 0)
    assert (second.predicted, second.unknown, second.image_index) == ("b", True, 2)
    assert (first.request_id, second.request_id, second.client) == ("r", "s", "shop")
    assert (first.image_sha256, second.image_sha256) == ("x", "y")
    assert second.confidence == pytest.approx(0.55)
    assert first.embedding is not None
    assert np.frombuffer(first.embedding, "<f2").tolist() == [1.5, -2]
    assert len(first.thumbnail or b"") == 64
    bare = logged_predictions(
        *(asked, images, answers),
        model="m",
        version="v",
        classes=("a", "b"),
        embeddings=False,
        thumbnails=False,
    )
    assert {(row.embedding, row.thumbnail) for row in bare} == {(None, None)}
