"""Snapshots: the weights at the ends of a training's cycles."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import atelier
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.predictor import Predictor

CYCLES = (
    *("train.num_epochs=4", "train.schedule=restarts", "train.cycle_epochs=2"),
    *("train.snapshots=true", "train.keep=last"),
)


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("cycles") / "run", *CYCLES)


def snapshots(run):
    folder = run.path / "snapshots"
    return {path.name: load_file(path) for path in sorted(folder.iterdir())}


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_weights_are_kept_at_the_end_of_each_cycle(run, train_tiny, tmp_path):
    kept = snapshots(run)
    assert list(kept) == ["2.safetensors", "4.safetensors"]
    assert same(kept["4.safetensors"], load_file(run.path / "model.safetensors"))
    assert not same(kept["2.safetensors"], kept["4.safetensors"])


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_resumed_training_keeps_the_same(run, train_tiny, stopped_in, tmp_path, epoch):
    out = tmp_path / "stopped"
    with stopped_in(epoch):
        train_tiny(out, *CYCLES)
    resumed = atelier.train(resume=out, progress=False)
    expected, kept = snapshots(run), snapshots(resumed)
    assert expected.keys() == kept.keys()
    assert all(same(expected[name], kept[name]) for name in expected)


def test_an_ensemble_of_them_is_the_mean_of_their_probabilities(run, tmp_path):
    whole = atelier.ensemble(run, snapshots=True, out=tmp_path / "whole", say=lambda _: None)
    images = load_dataset("fashion-mnist-sample").test
    parts = [
        Predictor(run.model(weights=path), run.card).predict_split(images).probs
        for path in sorted((run.path / "snapshots").iterdir())
    ]
    predictions = Predictor.of_run(whole).predict_split(images)
    assert np.allclose(predictions.probs, np.mean(parts, axis=0), atol=1e-5)
    # One training, counted once.
    assert whole.metrics["train_seconds"] == run.metrics["train_seconds"]
    assert whole.metrics["parameters"] == 2 * run.metrics["parameters"]
    assert [member["snapshot"] for member in whole.metrics["members"]] == [2, 4]
    assert "--snapshots" in whole.command
    last = atelier.ensemble(run, snapshots=True, last=1, out=tmp_path / "last", say=lambda _: None)
    assert np.allclose(Predictor.of_run(last).predict_split(images).probs, parts[-1], atol=1e-5)


def test_more_than_there_are_is_refused(run, tmp_path):
    with pytest.raises(ConfigError, match="so many snapshots"):
        atelier.ensemble(run, snapshots=True, last=3, out=tmp_path / "no")


def test_snapshots_need_cycles(train_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"train\.schedule=restarts"):
        train_tiny(tmp_path / "no", "train.snapshots=true")


def test_one_snapshot_makes_no_ensemble_and_the_cycles_that_would_are_named(train_tiny, tmp_path):
    run = train_tiny(tmp_path / "run", *CYCLES, "train.num_epochs=3")
    with pytest.raises(RunError, match=r"3 epochs in cycles of 2.*train.cycle_epochs=1"):
        atelier.ensemble(run, snapshots=True, out=tmp_path / "whole", say=lambda _: None)
    alone = atelier.ensemble(run, snapshots=True, last=1, out=tmp_path / "one", say=lambda _: None)
    assert [member["snapshot"] for member in alone.metrics["members"]] == [2]
