"""scikit-learn fits, and a run folder like any other comes of it."""

import numpy as np
import pytest
import torch

import atelier
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.predictor import Predictor
from atelier.recipes import get_recipe

SMALL = {
    "logistic": ["model.max_iterations=20"],
    "hog-svm": ["model.components=50", "model.cells=[7]"],
    "random-forest": ["model.trees=5"],
    "hist-gradient-boosting": ["model.iterations=2", "model.leaves=8"],
    "k-nearest-neighbors": [],
}


def fitted(name, out, *overrides, seed=0, **options):
    return atelier.train(
        name,
        data="fashion-mnist-sample",
        seed=seed,
        overrides=[*SMALL[name], *overrides],
        out=out,
        progress=False,
        **options,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classical")
    return {name: fitted(name, folder / name) for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
def test_a_fitted_run_is_whole(runs, name):
    run = runs[name]
    assert run.metrics["best_validation_accuracy"] > 0.5
    assert run.metrics["parameters"] > 100
    assert run.metrics["train_seconds"] > 0
    assert run.metrics["num_epochs"] == run.metrics["kept_epoch"] == 1
    assert not run.metrics["interrupted"]
    assert len(run.history) == 1
    assert run.history[0]["validation/accuracy"] == run.metrics["best_validation_accuracy"]
    assert run.has_predictions("validation")
    assert {path.suffix for path in run.path.iterdir() if path.is_file()} <= {
        ".json",
        ".jsonl",
        ".safetensors",
    }
    assert run.recipe == get_recipe(name, data="fashion-mnist-sample", overrides=SMALL[name])


@pytest.mark.parametrize("name", SMALL)
def test_what_is_read_back_says_what_was_kept(runs, name):
    kept = runs[name].predictions("validation")
    split = load_dataset("fashion-mnist-sample").train
    of_id = {number: position for position, number in enumerate(split.ids.tolist())}
    images = split.images[[of_id[number] for number in kept.ids.tolist()]]
    again = Predictor.of_run(runs[name], device="cpu").logits(images)
    assert np.array_equal(again, kept.logits)
