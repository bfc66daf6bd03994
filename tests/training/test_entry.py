"""`train`: what it promises of seeds, interruptions, choices and the folder it leaves."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import atelier
from atelier.config import Recipe, TrainConfig
from atelier.data import load_dataset
from atelier.errors import AtelierError, ConfigError, RunError, StorageError
from atelier.evaluation import evaluate_predictions
from atelier.recipes import get_recipe
from atelier.training import can_resume, checkpoints, default_run_path, entry, resolve_recipe

# All that is random or remembers: dropout, augmentation, momentum, average, plateau.
EVERYTHING = (
    "train.num_epochs=4",
    "model.dropout=0.3",
    "augment.rotation_degrees=10",
    "augment.mirror=alternating",
    "augment.crop_padding=2",
    "augment.erase_probability=0.5",
    "train.ema_decay=0.8",
    "train.schedule=plateau",
    "train.step_epochs=1",
    "train.keep=last",
)


def weights(run):
    """Equal bytes are bit-identical weights."""
    return (run.path / "model.safetensors").read_bytes()


class Killed(BaseException):
    """Ends a training as SIGKILL does: nothing that would tidy up for it runs."""


# Seeds.


@pytest.mark.parametrize("recipe", ["mlp", "cnn"])
def test_the_same_seed_gives_bit_identical_weights_and_another_seed_others(
    tmp_path, train_tiny, recipe
):
    first = train_tiny(tmp_path / "a", *EVERYTHING, recipe=recipe, seed=3)
    torch.manual_seed(999)  # what was drawn before does not matter
    again = train_tiny(tmp_path / "b", *EVERYTHING, recipe=recipe, seed=3)
    other = train_tiny(tmp_path / "c", *EVERYTHING, recipe=recipe, seed=4)
    assert weights(first) == weights(again) != weights(other)


def test_the_seed_draws_the_validation_part(tmp_path, train_tiny):
    ids = [
        train_tiny(tmp_path / str(seed), "train.num_epochs=1", seed=seed)
        .predictions("validation")
        .ids.tolist()
        for seed in (0, 1)
    ]
    assert ids[0] != ids[1]


# Stopping and going on.


@pytest.mark.parametrize(
    ("recipe", "optimizer"),
    [("mlp", "adamw"), ("cnn", "adamw"), ("cnn", "sgd"), ("speednet", "muon")],
)
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path, train_tiny, stopped_in, recipe, optimizer
):
    sets = (*EVERYTHING, f"train.optimizer={optimizer}", "train.lr=0.02")
    whole = train_tiny(tmp_path / "whole", *sets, recipe=recipe)
    with stopped_in(epoch=3):
        stopped = train_tiny(tmp_path / "stopped", *sets, recipe=recipe)
    assert weights(stopped) != weights(whole)
    resumed = atelier.train(resume=stopped.path, progress=False)
    assert weights(resumed) == weights(whole)
    assert not resumed.metrics["interrupted"]
    assert len(resumed.history) == 4
    for mine, theirs in zip(resumed.history, whole.history, strict=True):
        for key in ("lr", "train/loss", "train/accuracy", "validation/loss"):
            assert mine[key] == theirs[key]


def test_ctrl_c_keeps_the_best_so_far_and_the_run_is_usable(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run")
    assert run.metrics["interrupted"]
    assert run.metrics["num_epochs"] == len(run.history) == 1
    assert can_resume(run.path)
    assert evaluate_predictions(run.predictions("validation")).n == 83
    assert 0 < atelier.evaluate(run).accuracy < 1
    assert run.metrics["kept_epoch"] == 1


def test_ctrl_c_in_the_first_epoch_leaves_nothing(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=1), pytest.raises(KeyboardInterrupt):
        train_tiny(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_the_first_epoch_of_a_resumed_run_keeps_what_there_was(
    tmp_path, train_tiny, stopped_in
):
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run")
    before = weights(run)
    with stopped_in(epoch=2):
        again = atelier.train(resume=run.path, progress=False)
    assert weights(again) == before
    assert can_resume(run.path)


def test_ctrl_c_while_the_checkpoint_is_saved_names_weights_that_are_there(
    tmp_path, train_tiny, monkeypatch
):
    save, calls = entry.save_checkpoint, []

    def interrupted(path, state):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(path, state)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_TIMES_AS_LONG", 0)  # else these epochs are over too soon
        patch.setattr(entry, "save_checkpoint", interrupted)
        run = train_tiny(tmp_path / "run")
    assert run.metrics["num_epochs"] == run.metrics["kept_epoch"] == len(run.history) == 1
    whole = train_tiny(tmp_path / "whole")
    assert weights(atelier.train(resume=run.path, progress=False)) == weights(whole)


def test_an_evaluation_of_the_interrupted_weights_is_forgotten(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run")
    atelier.evaluate(run)
    resumed = atelier.train(resume=run.path, progress=False)
    assert not resumed.has_predictions("test")


def test_a_killed_run_is_half_written_and_can_be_resumed(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=2, error=Killed), pytest.raises(Killed):
        train_tiny(tmp_path / "run")
    with pytest.raises(RunError, match=r"half written.*train --resume"):
        atelier.load_run(tmp_path / "run")
    resumed = atelier.train(resume=tmp_path / "run", progress=False)
    assert weights(resumed) == weights(train_tiny(tmp_path / "whole"))


def test_a_run_that_sigkill_ends_can_be_resumed(tmp_path, train_tiny):
    """The real thing, in its own process."""
    program = f"""
import os, signal
import atelier
from atelier.data.batches import TrainingBatches
whole = TrainingBatches.epoch
def deadly(self, number, seed):
    for batch in whole(self, number, seed):
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
TrainingBatches.epoch = deadly
atelier.train("mlp", data="fashion-mnist-sample", out={str(tmp_path / "run")!r}, progress=False,
    overrides=["train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=64",
        "model.width=16"])
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    resumed = atelier.train(resume=tmp_path / "run", progress=False)
    assert weights(resumed) == weights(train_tiny(tmp_path / "whole"))


def test_a_finished_run_is_not_resumed(own_run):
    with pytest.raises(RunError, match="has finished: there is nothing to resume"):
        atelier.train(resume=own_run.path, progress=False)


def test_a_folder_without_a_run_is_not_resumed(tmp_path):
    with pytest.raises(RunError, match="no run folder to resume"):
        atelier.train(resume=tmp_path, progress=False)
    assert tmp_path.is_dir()


def test_a_run_is_not_resumed_on_other_data(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run")
    path = run.path / "environment.json"
    path.write_text(json.dumps({**run.environment, "data_fingerprint": "other"}))
    with pytest.raises(RunError, match="other data"):
        atelier.train(resume=run.path, progress=False)
    path.write_text("{")
    with pytest.raises(RunError, match="is not JSON"):
        atelier.train(resume=run.path, progress=False)
    assert can_resume(run.path)


def test_a_run_whose_recipe_was_changed_is_not_resumed(tmp_path, train_tiny, stopped_in):
    with stopped_in(epoch=2):
        run = train_tiny(tmp_path / "run")
    run.recipe.with_overrides(["model.width=24"]).save(run.path / "recipe.json")
    with pytest.raises(RunError, match="of another recipe"):
        atelier.train(resume=run.path, progress=False)
    assert can_resume(run.path)


@pytest.mark.parametrize(
    "more", [{"recipe": "mlp"}, {"data": "x"}, {"seed": 1}, {"overrides": ["a=1"]}, {"out": "x"}]
)
def test_a_resumed_run_takes_no_other_wishes(own_run, more):
    with pytest.raises(ConfigError, match="alone"):
        atelier.train(resume=own_run.path, progress=False, **more)


# Choices.


def test_the_kept_weights_are_those_of_the_best_epoch(tmp_path, train_tiny):
    run = train_tiny(
        tmp_path / "run", "train.num_epochs=5", "train.optimizer=sgd", "train.lr=0.5", seed=2
    )
    accuracies = [row["validation/accuracy"] for row in run.history]
    assert run.metrics["best_validation_accuracy"] == max(accuracies)
    assert run.metrics["kept_epoch"] == 1 + accuracies.index(max(accuracies))
    # Measured anew, by the weights on disk.
    assert atelier.evaluate(run, split="validation", refresh=True).accuracy == max(accuracies)


def test_early_stopping(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", "train.num_epochs=30", "train.patience=2", "train.lr=0.05")
    best, done = run.metrics["kept_epoch"], run.metrics["num_epochs"]
    assert done == best + 2 < 30
    assert not run.metrics["interrupted"]
    assert not can_resume(run.path)


def test_the_averaged_weights_are_saved(tmp_path, train_tiny):
    plain = train_tiny(tmp_path / "plain", "train.keep=last")
    averaged = train_tiny(tmp_path / "averaged", "train.keep=last", "train.ema_decay=0.9")
    assert weights(plain) != weights(averaged)
    assert plain.model().state_dict().keys() == averaged.model().state_dict().keys()
    last = averaged.history[-1]["validation/accuracy"]
    assert evaluate_predictions(averaged.predictions("validation")).accuracy == last


@pytest.mark.parametrize(
    "setting",
    ["train.label_smoothing=0.3", "train.clip_grad_norm=0.1", "train.weight_decay=5.0"],
)
def test_a_setting_changes_the_training(tmp_path, train_tiny, finished_run, setting):
    run = train_tiny(tmp_path / "run", setting)
    assert weights(run) != weights(finished_run)


def test_balanced_class_weights_change_nothing_where_classes_are_balanced(tmp_path, train_tiny):
    """Up to rounding: 1,000 images less 83 are all but balanced."""
    plain = train_tiny(tmp_path / "plain")
    weighted = train_tiny(tmp_path / "weighted", "train.class_weights=balanced")
    assert weights(plain) != weights(weighted)
    losses = [run.history[-1]["train/loss"] for run in (plain, weighted)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_without_a_validation_share_all_images_are_trained_on(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", "train.validation_share=0", "train.keep=last")
    assert run.metrics["train_images"] == 1000
    assert run.metrics["validation_images"] == 0
    assert run.metrics["best_validation_accuracy"] is None
    assert run.metrics["kept_epoch"] == 2
    assert not run.has_predictions("validation")
    assert atelier.evaluate(run).n == 500


def test_a_diverging_training_is_one_line(tmp_path, train_tiny):
    with pytest.raises(ConfigError, match=r"diverged.*train\.lr.*clip_grad_norm") as caught:
        train_tiny(
            tmp_path / "run",
            "train.optimizer=sgd",
            "train.lr=100",
            "model.batch_norm=false",
            "train.num_epochs=3",
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()  # it was the first epoch


# The folder.


def test_the_folder_holds_what_it_should(finished_run):
    files = {str(p.relative_to(finished_run.path)) for p in finished_run.path.rglob("*.*")}
    assert files == {
        "recipe.json",
        "environment.json",
        "metrics.jsonl",
        "metrics.json",
        "model.safetensors",
        "model.json",
        "calibration.json",
        "predictions/validation.npz",
        "predictions/test.npz",
    }
    metrics = finished_run.metrics
    assert (metrics["train_images"], metrics["validation_images"]) == (917, 83)
    assert metrics["num_epochs"] == len(finished_run.history) == 2
    assert metrics["parameters"] == 784 * 16 + 2 * 32 + 16 * 16 + 16 * 10 + 10
    assert finished_run.environment["torch"] == torch.__version__


def test_training_does_not_look_at_the_test_images(tmp_path, train_tiny, monkeypatch):
    without = dataclasses.replace(load_dataset("fashion-mnist-sample"), test=None)
    monkeypatch.setattr(entry, "obtain_dataset", lambda *_args, **_options: without)
    assert not train_tiny(tmp_path / "run").has_predictions("test")


def test_normalization_is_of_the_training_part_alone(finished_run):
    train = load_dataset("fashion-mnist-sample").train
    held_out = finished_run.predictions("validation").ids
    part = train.images[~np.isin(train.ids, held_out)]
    assert len(part) == 917
    assert finished_run.card.mean == pytest.approx([part.mean() / 255])
    assert finished_run.card.std == pytest.approx([part.std() / 255])
    assert finished_run.card.background == 0


def test_what_exists_is_not_overwritten(own_run, train_tiny):
    before = weights(own_run)
    with pytest.raises(StorageError, match=r"exists already.*--overwrite"):
        train_tiny(own_run.path, seed=5)
    assert weights(own_run) == before


def test_what_exists_is_replaced_when_told(own_run, train_tiny):
    before = weights(own_run)
    again = train_tiny(own_run.path, seed=5, overwrite=True)
    assert weights(again) != before
    assert not again.has_predictions("test")


def test_a_folder_of_other_things_is_never_replaced(tmp_path, train_tiny):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="other things than a run"):
        train_tiny(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_wrong_wish_costs_nothing_that_stands_there(own_run, train_tiny):
    before = weights(own_run)
    # The last is refused by the network, which has no filters.
    wishes = "train.lr=0 model.widht=3 train.validation_share=0.999 train.optimizer=muon"
    for wrong in wishes.split():
        with pytest.raises(AtelierError):
            train_tiny(own_run.path, wrong, overwrite=True)
    assert weights(own_run) == before


def test_a_folder_in_an_unknown_parent_is_made(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "a" / "b" / "run", "train.num_epochs=1")
    assert run.path == tmp_path / "a" / "b" / "run"


def test_an_epoch_smaller_than_a_batch_is_trained_on(tmp_path, train_tiny):
    run = train_tiny(tmp_path / "run", "train.batch_size=5000")
    assert run.metrics["num_epochs"] == 2


def test_batch_norm_on_single_images_is_one_line(tmp_path, train_tiny):
    with pytest.raises(ConfigError, match=r"two images or more.*model\.batch_norm=false"):
        train_tiny(tmp_path / "run", "train.batch_size=1")
    assert list(tmp_path.iterdir()) == []


def test_without_a_recipe_there_is_nothing_to_train():
    with pytest.raises(ConfigError, match="train --list"):
        atelier.train(progress=False)


def test_a_recipe_can_be_given_as_such(tmp_path):
    recipe = get_recipe("mlp", data="fashion-mnist-sample", overrides=["model.width=16"])
    recipe = recipe.model_copy(
        update={"name": "mine", "train": TrainConfig(num_epochs=1, warmup_epochs=0)}
    )
    run = atelier.train(recipe, seed=7, out=tmp_path / "run", progress=False)
    assert (run.recipe.name, run.recipe.seed) == ("mine", 7)
    assert Recipe.load(run.path / "recipe.json") == recipe.model_copy(update={"seed": 7})


def test_the_default_folder_names_recipe_data_and_seed(tmp_path):
    assert str(default_run_path(resolve_recipe("cnn", seed=3))) == "runs/cnn-fashion-mnist-s3"
    recipe = resolve_recipe("mlp", data=str(tmp_path / "kmnist"))
    assert default_run_path(recipe, tmp_path) == tmp_path / "mlp-kmnist-s0"
