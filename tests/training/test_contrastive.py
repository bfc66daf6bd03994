"""Learning from images alone."""

import math

import pytest
import torch

from atelier.config import AugmentConfig, Recipe, SpeedNetConfig, TrainConfig
from atelier.config.semi_supervised import ContrastiveConfig
from atelier.errors import ConfigError
from atelier.training.contrastive import nt_xent

SMALL = ("train.batch_size=64", "augment.crop_padding=2")


def test_nt_xent_is_that_of_the_paper():
    views = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [1.0, 1.0]])
    loss, found = nt_xent(views, 0.5)
    unit = views / views.norm(dim=1, keepdim=True)
    total = 0.0
    for i, partner in enumerate([2, 3, 0, 1]):
        others = [math.exp(float(unit[i] @ unit[k]) / 0.5) for k in range(4) if k != i]
        total -= math.log(math.exp(float(unit[i] @ unit[partner]) / 0.5) / sum(others))
    assert loss.item() == pytest.approx(total / 4, rel=1e-5)
    assert found in (0.75, 1.0)  # the last view is as near to the first as to the third


def test_what_was_learned_from_images_alone_starts_another_training(train_tiny, tmp_path):
    said = []
    first = train_tiny(
        tmp_path / "a", "method=contrastive", *SMALL, recipe="speednet", say=said.append
    )
    assert "the head has learned nothing" in said[0]
    assert first.history[1]["train/loss"] < first.history[0]["train/loss"]
    run = train_tiny(tmp_path / "b", recipe="speednet", init=first.path, labels=40)
    assert run.environment["init_run"] == "a"


def test_the_labels_are_not_looked_at(monkeypatch, train_tiny, tmp_path):
    from atelier.data.batches import TrainingBatches

    plain = train_tiny(tmp_path / "a", "method=contrastive", *SMALL, recipe="speednet")
    whole = TrainingBatches.__init__

    def with_other_labels(self, *arguments, **options):
        whole(self, *arguments, **options)
        self.labels = self.labels.flip(0)

    monkeypatch.setattr(TrainingBatches, "__init__", with_other_labels)
    other = train_tiny(tmp_path / "b", "method=contrastive", *SMALL, recipe="speednet")
    assert (plain.path / "model.safetensors").read_bytes() == (
        other.path / "model.safetensors"
    ).read_bytes()


def test_few_labels_and_none_are_not_both_asked_for(train_tiny, tmp_path):
    with pytest.raises(ConfigError, match="looks at no labels"):
        train_tiny(tmp_path / "a", "method=contrastive", recipe="speednet", labels=40)


def test_the_options_are_kept_in_a_recipe(tmp_path):
    recipe = Recipe(
        name="own",
        model=SpeedNetConfig(),
        augment=AugmentConfig(cutout=4),
        train=TrainConfig(),
        method=ContrastiveConfig(temperature=0.3),
    )
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe
