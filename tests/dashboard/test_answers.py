"""What the page is told about runs."""

import json

import numpy as np
import pytest

import atelier
from atelier.dashboard.answers import Answers
from atelier.dashboard.index import RunIndex
from atelier.errors import AtelierError, RunError
from tests.dashboard.conftest import ODD
from tests.dashboard.test_index import settled

TRAINED = f"deeper/{ODD}"


@pytest.fixture(scope="module")
def answers(runs):
    index = RunIndex(runs)
    settled(index)
    return Answers(index)


def test_the_table_says_once_what_all_have(answers):
    told = answers.runs()
    json.dumps(told, allow_nan=False)
    assert told["pending"] == 0
    assert told["common"]["train.schedule"] == "one-cycle"
    assert all("train.schedule" not in run["settings"] for run in told["runs"])
    rates = {run["settings"]["train.lr"] for run in told["runs"] if run["readable"]}
    assert {0.001, 0.003} <= rates


def test_curves_are_those_of_the_runs(answers, finished_run):
    told = answers.curves([TRAINED, "half"])["curves"]
    history = finished_run.history
    assert told[TRAINED]["train/loss"] == [row["train/loss"] for row in history]
    assert told["half"]["epoch"] == [1, 2, 3, 4, 5, 6]


def test_scores_are_those_of_evaluate(answers, finished_run):
    told = answers.confusion(TRAINED, "test")
    expected = atelier.evaluate(finished_run).to_dict()
    for key in ("accuracy", "confusion", "per_class", "top_confusions"):
        assert told[key] == expected[key]


def test_a_cell_shows_its_images_the_surest_first(answers, finished_run):
    kept = finished_run.predictions("test")
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (kept.labels, kept.predicted), 1)
    true, called = np.unravel_index(counts.argmax(), counts.shape)
    told = answers.cell(TRAINED, "test", int(true), int(called), 0)
    assert told["total"] == counts[true, called] > 24
    sure = [image["probability"] for image in told["images"]]
    assert sure == sorted(sure, reverse=True)
    assert len(sure) == 24
    assert all(image["source"].startswith("data:image/png;base64,") for image in told["images"])
    rest = answers.cell(TRAINED, "test", int(true), int(called), 24)
    ids = {image["id"] for image in told["images"] + rest["images"]}
    assert len(ids) == 24 + len(rest["images"])
    labels = dict(zip(kept.ids.tolist(), kept.labels.tolist(), strict=True))
    assert {labels[image] for image in ids} == {true}
    empty = np.argwhere(counts == 0)[0]
    assert answers.cell(TRAINED, "test", *map(int, empty), 0)["images"] == []


def test_thresholds_say_what_is_answered_and_right(answers, finished_run):
    told = answers.thresholds(TRAINED)
    assert set(told["parts"]) == {"test", "validation"}
    from atelier.evaluation import calibration_of

    calibration = calibration_of(finished_run)
    kept = calibration.apply(finished_run.predictions("test"))
    confidence = kept.probs.max(axis=1)
    for at in (0, 50, 90):
        sure = confidence >= told["thresholds"][at]
        assert told["parts"]["test"]["coverage"][at] == pytest.approx(sure.mean())
        assert told["parts"]["test"]["accuracy"][at] == pytest.approx(kept.correct[sure].mean())


def test_two_runs_are_compared_on_the_same_images(answers):
    told = answers.compare("mlp-lr0.001-s0", "fast-91-lr0.001-s0")
    (pair,) = told["pairs"]
    assert {pair["a"], pair["b"]} == {"mlp-lr0.001-s0", "fast-91-lr0.001-s0"}
    assert "300 test images" in told["sentences"][0]
    with pytest.raises(RunError, match="itself"):
        answers.compare("mlp-lr0.001-s0", "mlp-lr0.001-s0")
    with pytest.raises(AtelierError, match="cannot be compared"):
        answers.compare("mlp-lr0.001-s0", TRAINED)
    with pytest.raises(RunError, match="atelier evaluate"):
        answers.compare("mlp-lr0.001-s0", "half")


def test_seeds_of_one_recipe_are_one_group(answers, runs):
    groups = answers.seeds()["groups"]
    # 20 runs: 15 of seed 0, five of seed 1 beside the first five; and the trained one.
    assert sorted(group["n"] for group in groups) == [1] * 11 + [2] * 5
    rows = settled(RunIndex(runs))
    for group in groups:
        values = [rows[name].accuracy for name in group["runs"]]
        assert group["mean"] == pytest.approx(np.mean(values))
        if group["n"] > 1:
            assert group["deviation"] == pytest.approx(np.std(values, ddof=1))
            assert group["interval"][0] < group["mean"] < group["interval"][1]


@pytest.mark.parametrize("name", ["damaged", "half", "old", "none"])
def test_a_run_that_cannot_be_used_is_an_error_for_people(answers, name):
    for ask in (answers.thresholds, lambda one: answers.confusion(one, "test")):
        if name == "old" and ask is not answers.thresholds:
            continue  # its predictions are as good as any
        with pytest.raises(RunError):
            ask(name)
