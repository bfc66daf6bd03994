"""`ensemble`: one run of several."""

import json

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError, StorageError
from atelier.predictor import Predictor

SAMPLE = "fashion-mnist-sample"


@pytest.fixture(scope="module")
def runs(train_tiny, tmp_path_factory):
    """Three of two recipes, with views of their own, that have held out the same images."""
    home = tmp_path_factory.mktemp("members")
    return [
        train_tiny(home / "plain"),
        train_tiny(home / "viewed", "mirror_average=true", "shift_average=true"),
        train_tiny(home / "cnn", "train.num_epochs=1", recipe="cnn"),
    ]


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    said = []
    made = atelier.ensemble(runs, out=tmp_path_factory.mktemp("made") / "whole", say=said.append)
    return made, said


def test_it_predicts_the_mean_of_its_members_probabilities(runs, whole):
    run, _ = whole
    images = load_dataset(SAMPLE).test
    members = [Predictor.of_run(member).predict_split(images).probs for member in runs]
    predictions = Predictor.of_run(run).predict_split(images)
    assert np.allclose(predictions.probs, np.mean(members, axis=0), atol=1e-5)


def test_members_of_one_recipe_keep_its_views(train_tiny, runs, tmp_path):
    second = train_tiny(tmp_path / "second", "mirror_average=true", "shift_average=true", seed=1)
    said = []
    run = atelier.ensemble([runs[1], second], out=tmp_path / "of-two", say=said.append)
    assert run.card.mirror_average
    assert run.card.shift_average
    images = load_dataset(SAMPLE).test
    members = [Predictor.of_run(member).predict_split(images).probs for member in (runs[1], second)]
    predictions = Predictor.of_run(run).predict_split(images)
    assert np.allclose(predictions.probs, np.mean(members, axis=0), atol=1e-5)
    # They have held out different images: nothing is left to judge both by.
    assert run.metrics["best_validation_accuracy"] is None
    assert not run.has_predictions("validation")
    assert "held out different images" in said[0]
    with pytest.raises(RunError, match="none were held out"):
        atelier.evaluate(run, split="validation")


def test_its_folder_tells_what_it_is(runs, whole):
    run, said = whole
    metrics = run.metrics
    each = [member.metrics for member in runs]
    assert metrics["parameters"] == sum(one["parameters"] for one in each)
    assert metrics["multiply_adds"] == sum(one["multiply_adds"] for one in each)
    assert metrics["train_seconds"] == pytest.approx(sum(one["train_seconds"] for one in each))
    assert [member["run"] for member in metrics["members"]] == [str(r.path) for r in runs]
    assert run.command.startswith("atelier ensemble ")
    assert run.history == []
    kept = run.predictions("validation")
    assert metrics["best_validation_accuracy"] == pytest.approx(float(kept.correct.mean()))
    assert np.array_equal(kept.ids, runs[0].predictions("validation").ids)
    assert (run.path / "calibration.json").is_file()
    assert "McNemar" in said[-1]


def test_it_is_evaluated_and_predicts_and_explains(whole, tmp_path, call):
    run, _ = whole
    result = atelier.evaluate(run)
    code, said, _ = call("evaluate", run.path, "--json")
    assert code == 0
    assert json.loads(said)["accuracy"] == pytest.approx(result.accuracy)
    path = tmp_path / "image.png"
    pixels = load_dataset(SAMPLE).test.images[:1]
    Image.fromarray(pixels[0, 0]).save(path)
    (answer,) = atelier.predict(run, [path], invert="no")
    assert answer.predicted == run.classes[int(Predictor.of_run(run).logits(pixels)[0].argmax())]
    found = atelier.explain(run, errors=1, methods=["grad-cam"], neighbors=0, flips=False)
    assert found.items[0].maps[0].method == "grad-cam"


def test_its_export_gives_its_answers(whole, tmp_path):
    run, _ = whole
    path = tmp_path / "whole.onnx"
    # It compares the two itself, and leaves no file that answers otherwise.
    atelier.export(run, out=path)
    pixels = load_dataset(SAMPLE).test.images[:20]
    logits = Predictor.of_run(run).logits(pixels)
    temperature = json.loads((run.path / "calibration.json").read_text())["temperature"]
    expected = np.exp(logits / temperature)
    probs = atelier.load_export(path).answer(pixels).probs
    assert np.allclose(probs, expected / expected.sum(1, keepdims=True), atol=1e-4)


def test_the_command_line(runs, tmp_path, call):
    out = tmp_path / "by-hand"
    code, said, err = call("ensemble", runs[0].path, runs[2].path, "--out", out)
    assert code == 0, err
    assert f"run: {out}" in said
    assert "2 networks" in said
    assert "points, 95 % interval" in err


def test_with_one_split_seed_other_seeds_hold_out_the_same_images(runs, train_tiny, tmp_path):
    other = train_tiny(tmp_path / "other", "train.split_seed=0", "train.num_epochs=1", seed=1)
    kept = other.predictions("validation")
    assert np.array_equal(kept.ids, runs[0].predictions("validation").ids)
    run = atelier.ensemble([runs[0], other], out=tmp_path / "both", say=lambda _: None)
    assert np.array_equal(run.predictions("validation").ids, kept.ids)
    assert atelier.evaluate(run, split="validation").n == len(kept)


def test_it_is_not_trained(whole):
    with pytest.raises(ConfigError, match="not trained itself"):
        atelier.train(str(whole[0].path / "recipe.json"), progress=False)


@pytest.mark.parametrize(
    ("which", "options", "error", "said"),
    [
        ([0], {}, ConfigError, "two runs or more"),
        ([0, 0], {}, RunError, "named twice"),
        ([0, 2], {"soup": "uniform"}, RunError, "different architectures"),
        ([0, 1], {"soup": "uniform"}, RunError, "different views"),
        ([0, 2], {"soup": "stirred"}, ConfigError, "unknown soup"),
        ([0, 1], {"snapshots": True}, ConfigError, "of one run"),
        ([0], {"snapshots": True}, RunError, "has no snapshots"),
        ([0, 1], {"last": 2}, ConfigError, "--snapshots"),
    ],
)
def test_what_does_not_go_together_is_refused(runs, which, options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        atelier.ensemble([runs[k] for k in which], out=tmp_path / "no", **options)
    assert not list(tmp_path.iterdir())


def test_only_a_run_is_overwritten_and_no_member(runs, tmp_path, own_run):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("kept")
    with pytest.raises(StorageError, match="other things than a run"):
        atelier.ensemble(runs[:2], out=tmp_path / "letters", overwrite=True)
    with pytest.raises(StorageError, match="one of the runs"):
        atelier.ensemble([runs[0], own_run], out=own_run.path, overwrite=True)
    with pytest.raises(StorageError, match="exists already"):
        atelier.ensemble([runs[0], runs[1]], out=own_run.path)
    assert (tmp_path / "letters" / "mine.txt").read_text() == "kept"
    assert own_run.model()


def test_an_ensemble_or_other_data_is_no_member(whole, runs, photo_run, tmp_path):
    run, _ = whole
    with pytest.raises(RunError, match="is an ensemble itself"):
        atelier.ensemble([runs[0], run], out=tmp_path / "no")
    with pytest.raises(RunError, match="other classes"):
        atelier.ensemble([runs[0], photo_run], out=tmp_path / "no")
