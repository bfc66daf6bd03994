"""A plan: small data sets get smaller batches and more epochs, each choice with its reason."""

import numpy as np
import pytest

from atelier.config import Recipe, SpeedNetConfig, TrainConfig
from atelier.data import Dataset, ImageSplit
from atelier.training.memory import activation_bytes
from atelier.training.plan import follows, paths_of, planned

RECIPE = Recipe(
    name="photos",
    model=SpeedNetConfig(stem_filters=4, widths=(8, 8)),
    train=TrainConfig(num_epochs=40, batch_size=64, warmup_epochs=4, validation_share=0.1),
    plan=True,
)


def dataset(counts, *, size=32, channels=3):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), channels, size, size), np.uint8)
    split = ImageSplit(images, labels, np.arange(len(labels)))
    return Dataset("shop", split, None, tuple(f"class {k}" for k in range(len(counts))), "ab")


def plan(counts, *, fixed=(), memory_bytes=None, recipe=RECIPE):
    return planned(recipe, dataset(counts), fixed=fixed, memory_bytes=memory_bytes)


def test_as_many_photos_as_the_recipe_was_made_with_change_nothing():
    found, reasons = plan([1700, 1700])
    assert found == RECIPE.changed({"plan": False})
    assert any("batch 64: 3,060 training images" in reason for reason in reasons)
    assert any("32 x 32 pixels, color" in reason for reason in reasons)


def test_few_photos_get_smaller_batches_and_more_epochs():
    found, reasons = plan([150, 150])
    assert found.train.batch_size == 16
    assert found.train.num_epochs == 133
    assert found.train.warmup_epochs == pytest.approx(13.3)
    assert any("batch 16 instead of 64: 270 training images" in reason for reason in reasons)
    assert any("133 epochs of 270 images" in reason for reason in reasons)


def test_a_handful_of_photos_is_trained_four_times_as_long_and_no_longer():
    found, _ = plan([4, 4])
    assert (found.train.batch_size, found.train.num_epochs) == (8, 160)


def test_many_photos_get_fewer_epochs():
    found, _ = plan([15_000, 15_000])
    assert (found.train.batch_size, found.train.num_epochs) == (64, 13)


def test_images_that_are_small_already_do_not_grow():
    recipe = RECIPE.changed({"train.start_size": 48})
    assert plan([1700, 1700], recipe=recipe)[0].train.start_size == 0
    recipe = RECIPE.changed({"train.start_size": 16})
    assert plan([1700, 1700], recipe=recipe)[0].train.start_size == 16


def test_what_was_set_by_hand_stays():
    fixed = ("train.batch_size", "train.num_epochs", "train.class_weights")
    found, reasons = plan([300, 10], fixed=fixed)
    assert found == RECIPE.changed({"plan": False})
    assert len(reasons) == 1


def test_a_recipe_that_does_not_ask_is_left_alone():
    recipe = RECIPE.changed({"plan": False})
    assert plan([10, 10], recipe=recipe) == (recipe, [])


def test_rare_classes_are_drawn_as_often_as_common_ones():
    found, reasons = plan([1000, 100])
    assert found.train.sampling == "balanced"
    assert any("has 1,000 images and the smallest 100" in reason for reason in reasons)
    assert plan([1000, 101])[0].train.sampling == "natural"


def test_a_batch_takes_at_most_half_of_the_memory():
    image = activation_bytes(RECIPE, (3, 32, 32), 2)
    found, reasons = plan([1700, 1700], memory_bytes=2 * 20 * image)
    assert found.train.batch_size == 16
    assert any("are free" in reason for reason in reasons)
    assert plan([1700, 1700], memory_bytes=2 * 64 * image)[0].train.batch_size == 64


def test_a_plan_follows_from_what_was_asked_and_from_nothing_else():
    done, _ = plan([150, 150])
    assert follows(done, RECIPE)
    assert not follows(done, RECIPE.changed({"plan": False}))
    assert not follows(done, RECIPE.changed({"train.lr": 0.5}))
    asked = RECIPE.with_overrides(["train.num_epochs=3", "train.warmup_epochs=0"])
    fixed = paths_of(["train.num_epochs=3", " train.warmup_epochs = 0"])
    assert fixed == {"train.num_epochs", "train.warmup_epochs"}
    assert not follows(done, asked, fixed=fixed)
    assert follows(plan([150, 150], recipe=asked, fixed=fixed)[0], asked, fixed=fixed)
