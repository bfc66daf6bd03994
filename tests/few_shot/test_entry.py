"""The verb: which images it takes, what it finds and what it keeps."""

import json

import numpy as np
import pytest

import atelier
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.predictor import Predictor

HELD_OUT = ("Trouser", "Sneaker", "Bag")


@pytest.fixture(scope="module")
def run(train_tiny, tmp_path_factory):
    """A run that has not seen three of the classes."""
    named = json.dumps(HELD_OUT)
    return train_tiny(tmp_path_factory.mktemp("runs") / "few", f"train.held_out={named}")


def judged(run, **options):
    few = {"ways": 3, "episodes": 40, "device": "cpu", "progress": False}
    return atelier.few_shot(run, **{**few, **options})


def test_classes_that_look_unlike_each_other_are_told_apart_by_five_images(run):
    result = judged(run)
    assert [score.classifier for score in result.scores] == [
        "nearest centroid",
        "of unit length",
        "linear probe",
        "nearest neighbor",
    ]
    for score in result.scores:
        assert 0.7 < score.accuracy <= 1  # by chance a third
        low, high = score.interval
        assert low < score.accuracy < high
    assert result.classes == HELD_OUT
    assert result.notes == ()
    assert "3-way 5-shot, 40 episodes of 15 queries" in str(result)


def test_the_accuracy_is_that_of_the_episodes_by_hand(run):
    result = judged(run, episodes=4, shots=2, queries=3)
    train = load_dataset("fashion-mnist-sample").train
    images = train.take(np.isin(train.labels, [1, 7, 8]))
    vectors = Predictor.of_run(run, device="cpu").outputs(images.images).embedding
    rng = np.random.default_rng(0)
    accuracies = []
    for _ in range(4):
        drawn = np.array([1, 7, 8])[rng.choice(3, 3, replace=False)]
        chosen = [
            rng.choice(np.flatnonzero(images.labels == label), 5, replace=False) for label in drawn
        ]
        means = np.stack([vectors[own[:2]].mean(axis=0) for own in chosen])
        right = [
            np.argmin(np.linalg.norm(vectors[place] - means, axis=1)) == way
            for way in range(3)
            for place in chosen[way][2:]
        ]
        accuracies.append(np.mean(right))
    score = result.scores[0]
    assert score.accuracy == pytest.approx(np.mean(accuracies))
    half = 1.96 * np.std(accuracies, ddof=1) / 2
    assert score.interval[1] - score.accuracy == pytest.approx(half)


def test_the_seed_draws_and_both_parts_are_kept(run):
    development, final = judged(run), judged(run, final=True)
    assert judged(run).scores == development.scores
    assert judged(run, seed=1).scores != development.scores
    dataset = load_dataset("fashion-mnist-sample")
    assert development.images == np.isin(dataset.train.labels, [1, 7, 8]).sum()
    assert final.images == np.isin(dataset.test.labels, [1, 7, 8]).sum()
    kept = json.loads((run.path / "few_shot.json").read_text())
    assert set(kept) == {"development", "final"}
    assert kept["final"]["scores"][0]["accuracy"] == final.scores[0].accuracy
    assert kept["final"]["classes"] == list(HELD_OUT)


def test_test_images_are_drawn_when_asked_for_and_not_before(run, monkeypatch):
    from atelier.data import Dataset

    with monkeypatch.context() as patch:
        patch.setattr(Dataset, "judged", property(lambda _: pytest.fail("looked at test images")))
        assert "images that it was not trained on" in str(judged(run))
    assert "test images: Trouser" in str(judged(run, final=True))


def test_classes_that_were_learned_are_judged_by_validation_images_and_said(run):
    result = judged(run, classes=["Coat", 0, "Bag"], shots=2, queries=3)
    assert result.classes == ("T-shirt/top", "Coat", "Bag")
    validation = run.predictions("validation").labels
    bags = (load_dataset("fashion-mnist-sample").train.labels == 8).sum()
    assert result.images == np.isin(validation, [0, 4]).sum() + bags
    assert "trained on T-shirt/top, Coat: this is not" in str(result)


def test_a_run_that_held_nothing_out_has_no_images_left(train_tiny, tmp_path):
    plain = train_tiny(
        tmp_path / "run", "train.validation_share=0", "train.keep=last", "train.num_epochs=1"
    )
    with pytest.raises(ConfigError, match=r"trained on all its classes.*--classes"):
        judged(plain)
    with pytest.raises(RunError, match="none were held out"):
        judged(plain, classes=[0, 1, 2])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ways": 4}, "Set --ways 3"),
        ({"ways": 1}, "ways is out of range; got 1; allowed: from 2"),
        ({"shots": 0}, "shots is out of range"),
        ({"episodes": 1}, "episodes is out of range"),
        ({"queries": 10_000}, "Lower --shots or --queries"),
        ({"classes": ["Bags"]}, "Did you mean 'Bag'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(run, options, said):
    with pytest.raises(ConfigError, match=said):
        judged(run, **options)


def test_the_command_says_it_and_prints_json(call, run):
    words = ("few-shot", run.path, "--ways", 2, "--episodes", 5, "--quiet")
    code, out, _ = call(*words, "--classes", "Bag", "--classes", "7")
    assert code == 0
    assert "2-way 5-shot" in out
    assert "Sneaker, Bag" in out
    code, out, _ = call(*words, "--json")
    assert json.loads(out)["classes"] == list(HELD_OUT)


def test_the_command_refuses_what_is_no_run(refused):
    assert "there is no run folder here" in refused("few-shot", "nowhere")
