"""Probabilities mean what they say, and "unknown" keeps the promise that it was chosen for."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.errors import ConfigError, RunError
from atelier.evaluation import (
    answer_rule,
    calibration_of,
    coverage_at,
    ece,
    evaluate,
    fit_calibration,
)
from atelier.evaluation.calibration import Calibration
from atelier.predictions import Predictions

CLASSES = tuple("abcde")


def drawn(n, *, sharpness=1.0, seed=0, spread=3.0):
    """Predictions whose true probabilities are the softmax of their logits over `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(n, 5))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return Predictions(np.arange(n), labels, (sharpness * logits).astype(np.float32), CLASSES)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_and_mends_the_probabilities(sharpness):
    found = fit_calibration(drawn(2000, sharpness=sharpness))
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    others = drawn(4000, sharpness=sharpness, seed=1)
    calibrated = found.apply(others)
    assert (calibrated.predicted == others.predicted).all()
    assert ece(calibrated.probs, others.labels) < 0.03
    if sharpness != 1:
        assert found.ece_calibrated < found.ece
        assert found.nll_calibrated < found.nll


def test_a_handful_of_images_that_are_all_right_does_not_make_the_model_certain():
    logits = np.array([[2.0, 0, 0, 0, 0], [0, 1.5, 0, 0, 0], [0, 0, 3.0, 0, 0]], np.float32)
    found = fit_calibration(Predictions(np.arange(3), np.arange(3), logits, CLASSES))
    assert 0.2 < found.temperature < 1
    worst = fit_calibration(Predictions(np.arange(3), np.array([4, 4, 4]), logits, CLASSES))
    assert 1 < worst.temperature < 10


def test_what_cannot_be_calibrated_is_not():
    one = drawn(1)
    assert fit_calibration(one) is None
    logits = drawn(9).logits.copy()
    logits[0, 0] = np.nan
    assert fit_calibration(Predictions(np.arange(9), drawn(9).labels, logits, CLASSES)) is None


def test_the_training_leaves_it_and_a_damaged_one_is_one_line(own_run):
    kept = calibration_of(own_run)
    assert kept == fit_calibration(own_run.predictions("validation"))
    path = own_run.path / "calibration.json"
    fields = json.loads(path.read_text())
    for damaged in ("{", "{}", "[]", json.dumps({**fields, "temperature": -1})):
        path.write_text(damaged)
        with pytest.raises(RunError, match=r"calibration\.json"):
            calibration_of(own_run)
    path.write_text(json.dumps({**fields, "temperature": "1"}))
    with pytest.raises(RunError, match=r"calibration\.json"):
        calibration_of(own_run)


def test_a_run_from_before_there_was_one_is_calibrated_by_what_it_kept(own_run):
    kept = calibration_of(own_run)
    (own_run.path / "calibration.json").unlink()
    assert calibration_of(own_run) == kept
    (own_run.path / "predictions" / "validation.npz").unlink()
    assert calibration_of(own_run) is None
    result = evaluate(own_run)
    assert result.calibrated is None
    assert "temperature" not in str(result)


def test_the_evaluation_shows_both_and_judges_no_image_by_itself(finished_run):
    calibration = calibration_of(finished_run)
    test, validation = evaluate(finished_run), evaluate(finished_run, split="validation")
    kept = finished_run.predictions("test")
    assert test.ece == ece(kept.probs, kept.labels)
    assert test.calibrated.ece == ece(calibration.apply(kept).probs, kept.labels)
    assert not test.calibrated.cross_fitted
    assert validation.ece == calibration.ece
    assert validation.calibrated.ece == calibration.ece_calibrated
    assert "(cross-fitted)" in str(validation)
    assert "coverage of the surest images by their error: " in str(test)
    assert json.loads(json.dumps(test.to_dict()))["calibrated"]["ece"] == test.calibrated.ece


# When to answer "unknown".


def test_the_promised_error_is_kept():
    """In at most 5 of 100 draws the error may exceed what was promised."""
    population = drawn(20_000, seed=99)
    confidence = population.probs.max(axis=1)
    broken, answered = 0, []
    for seed in range(100):
        validation = drawn(400, sharpness=2.0, seed=seed)
        try:
            rule = answer_rule(fit_calibration(validation).apply(validation), 0.1)
        except ConfigError:
            answered.append(0.0)
            continue
        chosen = confidence >= rule.threshold
        broken += (~population.correct[chosen]).mean() > 0.1
        answered.append(chosen.mean())
    assert broken <= 5
    assert np.mean(answered) > 0.2


def test_the_rule_says_what_it_rests_on():
    validation = drawn(1000)
    rule = answer_rule(validation, 0.1)
    answers = validation.probs.max(axis=1) >= rule.threshold
    assert rule.answered == answers.sum()
    assert rule.wrong == (~validation.correct[answers]).sum()
    assert rule.coverage == answers.mean()
    assert rule.wrong / rule.answered < 0.1
    assert f"{rule.coverage:.1%} of 1,000 validation images" in str(rule)
    assert "with 95% confidence at most 0.1 of the answers" in str(rule)


def test_a_looser_promise_answers_more():
    validation = drawn(1000)
    rules = [answer_rule(validation, error) for error in (0.05, 0.1, 0.2, 0.4)]
    thresholds = [rule.threshold for rule in rules]
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_model_that_is_always_right_always_answers():
    labels = np.arange(200) % 5
    sure = Predictions(np.arange(200), labels, 6 * np.eye(5, dtype=np.float32)[labels], CLASSES)
    assert answer_rule(sure, 0.05).threshold == 0
    assert answer_rule(sure, 0.05).coverage == 1


@pytest.mark.parametrize("n", [1, 40])
def test_what_cannot_be_promised_says_what_can(n):
    with pytest.raises(ConfigError) as caught:
        answer_rule(drawn(n), 0.01)
    assert f"no threshold keeps the error among answers at 0.01 with 95% confidence on {n}" in str(
        caught.value
    )
    assert "--unknown-below" in str(caught.value)
    if n == 40:
        assert "Allow --max-error 0." in str(caught.value)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, float("nan")])
def test_an_impossible_error_is_refused(error):
    with pytest.raises(ConfigError, match="out of range"):
        answer_rule(drawn(100), error)


# Coverage.


def test_coverage_is_of_the_surest_images():
    confidence = np.array([0.9, 0.8, 0.7, 0.6])
    correct = np.array([True, True, False, True])
    assert coverage_at(confidence, correct, [0.0, 0.25, 0.34]) == {0.0: 0.5, 0.25: 1.0, 0.34: 1.0}
    assert coverage_at(confidence, ~correct, [0.1]) == {0.1: 0.0}


def test_images_of_one_confidence_are_answered_together():
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    correct = np.array([True, True, False, True])
    assert coverage_at(confidence, correct, [0.1, 0.3, 0.34]) == {0.1: 0, 0.3: 1.0, 0.34: 1.0}


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.5, 0.9]), st.booleans()), min_size=1),
    st.floats(0, 1),
)
def test_coverage_is_the_best_of_all_thresholds(images, error):
    confidence = np.array([share for share, _ in images])
    correct = np.array([right for _, right in images])
    best = 0.0
    for threshold in confidence:
        answers = confidence >= threshold
        if (~correct[answers]).sum() / answers.sum() <= error:
            best = max(best, answers.mean())
    assert coverage_at(confidence, correct, [error])[error] == pytest.approx(best)


def test_a_calibration_survives_the_disk(own_run):
    kept = Calibration(1.5, 100, 0.1, 0.05, 0.9, 0.8)
    kept.save(own_run.path)
    assert calibration_of(own_run) == kept
