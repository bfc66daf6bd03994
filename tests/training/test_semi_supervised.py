"""Learning from few labels and from many images without one."""

import json

import numpy as np
import pytest
import torch

import atelier
from atelier.config.semi_supervised import FixMatchConfig
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.recipes import get_recipe
from atelier.training.methods import learner_of
from atelier.training.preparation import prepare
from atelier.training.semi_supervised import SemiSupervised

METHODS = [
    *("pseudo-label", "pi-model", "mean-teacher", "fixmatch", "flexmatch"),
    "label-propagation",
]
SMALL = ("train.batch_size=32", "train.keep=last", "augment.crop_padding=2")
WEIGHTS = "model.safetensors"


class StoppedError(Exception):
    """The end of a training, as far as the tests want it."""


def stop(_path, _rows):
    raise StoppedError


def options(method):
    """Few enough steps, with everything that the method can remember in them."""
    own = "threshold=0.05" if method in {"fixmatch", "flexmatch"} else "rampup_epochs=1"
    own = "refresh_epochs=1" if method == "label-propagation" else own
    return [f"method={method}", *SMALL, f"method.{own}"]


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_and_says_what_of(method, train_tiny, tmp_path):
    said = []
    run = train_tiny(
        tmp_path / "run", *options(method), recipe="speednet", labels=40, say=said.append
    )
    row = run.history[-1]
    assert row["train/loss"] >= row["train/label_loss"] > 0
    assert row["train/unlabeled_loss"] > 0
    takes_some = {"pseudo-label", "fixmatch", "flexmatch"}
    assert ("train/taken" in row) == (method in takes_some)
    assert "the labels of 40 images, drawn with seed 0" in said[0]
    assert "used without theirs" in said[0]
    assert "83 further images are used to measure" in said[1]
    written = json.loads((run.path / "labels.json").read_text())
    train = load_dataset("fashion-mnist-sample").train
    labels = train.labels[np.isin(train.ids, written["labeled_ids"])]
    assert np.bincount(labels).tolist() == [4] * 10


@pytest.mark.parametrize("method", ["mean-teacher", "flexmatch", "label-propagation"])
def test_a_training_goes_on_where_it_stopped(method, train_tiny, tmp_path):
    given = {"recipe": "speednet", "labels": 100}
    more = [*options(method), "train.ema_decay=0.9"]
    whole = train_tiny(tmp_path / "whole", *more, **given)
    with pytest.raises(StoppedError):
        train_tiny(tmp_path / "again", *more, **given, on_epoch=stop)
    run = atelier.train(resume=tmp_path / "again", progress=False)
    assert (run.path / WEIGHTS).read_bytes() == (whole.path / WEIGHTS).read_bytes()
    assert len(run.history) == 2


def test_the_labels_of_the_other_images_never_reach_the_training(monkeypatch):
    def learned(dataset):
        recipe = get_recipe("flexmatch", data="fashion-mnist-sample").changed(
            {"train.labels": 40, "train.batch_size": 32, "method.threshold": 0.2}
        )
        prepared = prepare(recipe, dataset, torch.device("cpu"))
        learner = learner_of(prepared, recipe)
        seen = []
        for batch, _ in zip(learner.batches.epoch(1, 0), range(3), strict=False):
            loss, _ = learner.objective(learner.model, batch)
            loss.backward()
            seen.append(loss.item())
        return seen, [p.grad for p in learner.model.parameters() if p.grad is not None], prepared

    dataset = load_dataset("fashion-mnist-sample")
    losses, gradients, prepared = learned(dataset)

    # The draw itself is by class, and so is made before the labels are exchanged.
    monkeypatch.setattr("atelier.training.preparation.draw_labeled", lambda *_a, **_k: prepared.few)
    others = prepared.few.unlabeled
    labels = dataset.train.labels.copy()
    labels[others] = labels[np.random.default_rng(0).permutation(others)]
    assert (labels != dataset.train.labels).sum() > 500
    object.__setattr__(dataset.train, "labels", labels)
    losses_again, gradients_again, _ = learned(dataset)
    assert losses == losses_again
    assert all(map(torch.equal, gradients, gradients_again))


def test_a_graph_of_cells_too_large_for_the_images_is_refused(train_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"histograms of gradients.*too small.*method.cells"):
        train_tiny(
            tmp_path / "run",
            *options("label-propagation"),
            "method.cells=[4, 20]",
            recipe="speednet",
            labels=40,
        )


@pytest.mark.parametrize(("along", "least"), [("hog", 0.7), ("pixels", 0.6)])
def test_labels_spread_along_what_the_recipe_names(along, least):
    dataset = load_dataset("fashion-mnist-sample")
    recipe = get_recipe("label-propagation", data="fashion-mnist-sample").changed(
        {"train.labels": 100, "method.along": along}
    )
    prepared = prepare(recipe, dataset, torch.device("cpu"))
    reached = learner_of(prepared, recipe).objective.unlabeled.labels.numpy()
    right = (reached == dataset.train.labels[prepared.few.unlabeled]).mean()
    assert right > least


def test_the_graph_says_how_far_it_is(capsys):
    dataset = load_dataset("fashion-mnist-sample")
    recipe = get_recipe("label-propagation", data="fashion-mnist-sample").changed(
        {"train.labels": 100}
    )
    for progress in (True, False):
        learner_of(prepare(recipe, dataset, torch.device("cpu"), progress=progress), recipe)
        said = capsys.readouterr().err
        for task in ("embeddings", "label graph", "spreading labels"):
            assert (f"{task} 100 %" in said) is progress


def test_the_weight_of_the_unlabeled_images_rises():
    loss = SemiSupervised(
        lambda _logits, _views, _positions: (torch.tensor(2.0), {}),
        seen=1,
        weight=3.0,
        rampup_steps=10,
        supervised={},
    )
    weights = []
    for _ in range(12):
        weights.append(float(loss.current_weight()))
        loss.after_step(torch.nn.Identity())
    assert weights[0] == pytest.approx(3 * np.exp(-5))
    assert weights[5] == pytest.approx(3 * np.exp(-5 * 0.25))
    assert weights[10:] == pytest.approx([3, 3])


def test_the_baseline_sees_the_same_labels_and_nothing_else(train_tiny, tmp_path):
    said = []
    run = train_tiny(tmp_path / "few", *SMALL, recipe="speednet", labels=40, say=said.append)
    assert "the other 877 images are not used" in said[0]
    assert run.metrics["train_images"] == 40
    semi = train_tiny(tmp_path / "semi", *options("fixmatch"), recipe="speednet", labels=40)
    assert (run.path / "labels.json").read_bytes() == (semi.path / "labels.json").read_bytes()


def test_weights_chosen_by_labels_that_nobody_has_are_said(train_tiny, tmp_path):
    said = []
    train_tiny(tmp_path / "run", recipe="speednet", labels=40, say=said.append)
    assert "set train.keep=last" in said[1]


def test_weights_that_know_other_labels_are_said(train_tiny, tmp_path):
    """What 40 labels are good for is not seen by who has learned from 80 before."""

    def trained(name, **options):
        return train_tiny(tmp_path / name, *SMALL, recipe="speednet", **options)

    def labeled(run):
        return set(json.loads((run.path / "labels.json").read_text())["labeled_ids"])

    def last_note(run):
        return run.environment["notes"][-1]

    first, whole = trained("first", labels=40), trained("whole")
    assert "it starts from" not in last_note(trained("same", labels=40, init=first.path))
    other = trained("other", labels=40, init=first.path, seed=1)
    count = len(labeled(first) - labeled(other))
    assert f"have learned from the labels of {count} other images" in last_note(other)
    more = last_note(trained("more", labels=40, init=whole.path))
    assert "have learned from all labels" in more


def test_the_command_takes_the_number_of_labels(call, tmp_path):
    small = ["model.widths=[4,8]", "model.stem_filters=8", "train.num_epochs=1"]
    words = [word for setting in small for word in ("--set", setting)]
    code, out, err = call(
        *("train", "fixmatch", "--data", "fashion-mnist-sample", "--labels", "40", "--quiet"),
        *(*words, "--set", "train.warmup_epochs=0", "--out", tmp_path / "run"),
    )
    assert code == 0
    assert "labels of 40 images" in err
    assert "run: " in out
    recipe = atelier.load_run(tmp_path / "run").recipe
    assert recipe.train.labels == 40
    assert isinstance(recipe.method, FixMatchConfig)


def test_a_method_without_unlabeled_images_is_refused(refused):
    said = refused(
        *("train", "cnn", "--data", "fashion-mnist-sample", "--set", "method=fixmatch"),
        *("--out", "run"),
    )
    assert "fixmatch learns from images without a label" in said
    assert "--labels 400" in said


@pytest.mark.parametrize("count", ["5", "1000", "-1"])
def test_a_number_of_labels_that_cannot_be_is_refused(refused, count):
    said = refused("train", "fixmatch", "--data", "fashion-mnist-sample", f"--labels={count}")
    assert f"got {count}" in said


def test_members_are_refused(train_tiny, tmp_path):
    with pytest.raises(ConfigError, match=r"Set model\.members=1"):
        train_tiny(
            tmp_path / "run", *options("fixmatch"), "model.members=2", recipe="speednet", labels=40
        )


@pytest.mark.parametrize("setting", ["augment.mixup=0.2", "train.prune=0.5"])
def test_what_does_not_go_with_labels_that_come_again_and_again_is_refused(
    setting, train_tiny, tmp_path
):
    with pytest.raises(ConfigError, match="takes each labeled image whole, without"):
        train_tiny(tmp_path / "run", *options("fixmatch"), setting, recipe="speednet", labels=40)


def test_a_checkpoint_of_another_method_is_refused(train_tiny, tmp_path):
    more = options("flexmatch")
    with pytest.raises(StoppedError):
        train_tiny(tmp_path / "run", *more, recipe="speednet", labels=40, on_epoch=stop)
    path = tmp_path / "run" / "recipe.json"
    recipe = atelier.Recipe.load(path).changed({"method": "fixmatch"})
    recipe.save(path)
    with pytest.raises(RunError, match="another recipe"):
        atelier.train(resume=tmp_path / "run", progress=False)


@pytest.mark.parametrize("name", [*METHODS, "few-labels", "contrastive"])
def test_a_recipe_keeps_the_last_weights_and_holds_nothing_out(name):
    recipe = get_recipe(name)
    assert recipe.train.keep == "last"
    assert recipe.train.validation_share == 0
    assert recipe.method.name == ("supervised" if name == "few-labels" else name)
