"""`train` with what photos need: mixed images, growing sizes, balanced classes, image weights."""

import dataclasses

import numpy as np
import pytest
import torch

import atelier
from atelier.config import Recipe, SpeedNetConfig, TrainConfig
from atelier.data import load_dataset
from atelier.data.datasets import PhotoFacts
from atelier.errors import ConfigError, DataError
from atelier.models.stems import WhiteningConv
from atelier.training.preparation import prepare

CPU = torch.device("cpu")
PHOTOS = (
    "train.num_epochs=3",
    "train.start_size=12",
    "train.grow_until=0.6",
    "train.keep=last",
    "train.sampling=balanced",
    "augment.mixup=0.4",
    "augment.cutmix=1",
    "augment.mix_until=0.8",
    "augment.policy=trivialaugment",
    "augment.resized_crop=0.4",
    "augment.perspective=0.2",
    "augment.edge=reflect",
    "augment.brightness=0.2",
    "augment.contrast=0.2",
    "augment.light=0.2",
)


def weights(run):
    """Equal bytes are bit-identical weights."""
    return (run.path / "model.safetensors").read_bytes()


def test_a_resumed_training_with_all_of_it_equals_an_uninterrupted_one(
    tmp_path, train_tiny, stopped_in
):
    whole = train_tiny(tmp_path / "whole", *PHOTOS, recipe="speednet")
    for epoch in (2, 3):
        with stopped_in(epoch=epoch):
            stopped = train_tiny(tmp_path / f"{epoch}", *PHOTOS, recipe="speednet")
        assert weights(stopped) != weights(whole)
        resumed = atelier.train(resume=stopped.path, progress=False)
        assert weights(resumed) == weights(whole)
        assert [row["train/loss"] for row in resumed.history] == [
            row["train/loss"] for row in whole.history
        ]


def test_images_grow_and_are_judged_at_their_full_size(tmp_path, train_tiny, monkeypatch):
    seen = {True: [], False: []}
    whole = WhiteningConv.forward

    def looked_at(self, images):
        if torch.is_grad_enabled() or torch.is_inference_mode_enabled():
            seen[self.training].append(tuple(images.shape[-2:]))
        return whole(self, images)

    monkeypatch.setattr(WhiteningConv, "forward", looked_at)
    train_tiny(tmp_path / "run", *PHOTOS, recipe="speednet")
    batches = len(seen[True]) // 3
    assert seen[True] == [(12, 12)] * batches * 2 + [(28, 28)] * batches
    assert set(seen[False]) == {(28, 28)}


@pytest.mark.parametrize("recipe", ["mlp", "cnn", "hybrid"])
def test_networks_for_one_size_are_refused_before_anything_is_written(tmp_path, train_tiny, recipe):
    with pytest.raises(ConfigError, match=r"grow from 12 x 12 to 28 x 28 .* takes one size alone"):
        train_tiny(tmp_path / "run", "train.start_size=12", recipe=recipe)
    assert list(tmp_path.iterdir()) == []


def test_sizes_that_are_too_small_or_too_large_are_refused_and_a_good_one_named(
    tmp_path, train_tiny
):
    small = ("train.start_size=1", "train.num_epochs=4", "train.grow_until=1")
    with pytest.raises(ConfigError, match=r"too small for it.*start_size=0 or at least 17"):
        train_tiny(tmp_path / "run", *small, recipe="speednet")
    with pytest.raises(ConfigError, match=r"larger than the images; got 29; allowed: up to 28"):
        train_tiny(tmp_path / "run", "train.start_size=29", recipe="speednet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({"prune": 0.3}, "sampling=balanced and prune both decide"),
        ({"class_weights": "balanced"}, "make up for rare classes twice"),
    ],
)
def test_balanced_sampling_goes_with_no_other_choice_of_images(sets, said):
    train = TrainConfig(sampling="balanced")
    recipe = Recipe(name="r", model=SpeedNetConfig(), train=train)
    with pytest.raises(ConfigError, match=said):
        recipe.with_overrides([f"train.{name}={value}" for name, value in sets.items()])


def prepared(image_weights, **train):
    sample = load_dataset("fashion-mnist-sample")
    count = 1 + int(sample.train.ids.max())
    facts = PhotoFacts(
        tuple(map(str, range(count))),
        np.arange(count),
        np.arange(count, dtype=np.uint64),
        image_weights,
    )
    model = SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(1, 1))
    recipe = Recipe(name="r", model=model, train=TrainConfig(**train))
    return prepare(recipe, dataclasses.replace(sample, photos=facts), CPU)


def test_what_a_table_says_that_images_count_goes_with_them():
    image_weights = np.linspace(0, 6, 60_000, dtype=np.float32)
    batches = prepared(image_weights).batches
    (first, *_) = batches.epoch(1, 0)
    ids = load_dataset("fashion-mnist-sample").train.ids
    chosen = image_weights[ids[batches.chosen.numpy()]]
    expected = chosen[first.positions.numpy()] / chosen.mean()
    assert np.allclose(first.weights.numpy(), expected, rtol=1e-5)
    assert prepared(None).batches.weights is None


def test_images_of_which_none_counts_are_refused():
    with pytest.raises(DataError, match="all have the weight 0"):
        prepared(np.zeros(60_000, np.float32))
