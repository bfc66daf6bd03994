"""What an export is measured by, and when it is not good enough."""

import json

import numpy as np
import pytest

from atelier.exported import Answers
from atelier.exporting.parity import accuracy_difference, agreement, judge


def answers(logits, temperature=1.0):
    logits = np.asarray(logits, np.float32)
    exp = np.exp(logits / temperature - (logits / temperature).max(axis=1, keepdims=True))
    probs = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return Answers(logits, probs, np.zeros((len(logits), 3), np.float32))


def of_classes(classes, gap=1.0):
    """(N, 4) logits that name `classes`."""
    return (np.eye(4)[classes] * gap).astype(np.float32)


def judged(precision, wrong, images, *, odd_wrong=0, lost=None, labels=None):
    """The verdict on an export that names another class for the first `wrong` images."""
    truth = np.zeros(images, np.int64)
    changed = truth.copy()
    changed[:wrong] = 1
    run, export = of_classes(truth), answers(of_classes(changed))
    odd = np.zeros(1000, np.int64)
    odd_changed = odd.copy()
    odd_changed[:odd_wrong] = 1
    return judge(
        precision,
        "validation images",
        agreement(run, 1.0, export),
        accuracy_difference(run, export.logits, truth if labels is None else labels),
        agreement(of_classes(odd), 1.0, answers(of_classes(odd_changed))),
    )


def test_the_same_answers_pass():
    for precision in ("float32", "int8"):
        parity = judged(precision, 0, 5000)
        assert parity.passed
        assert parity.labeled.share == 1
        assert parity.accuracy.p == 1
        assert "5,000 of 5,000 are given the same class" in str(parity)


def test_one_other_class_fails_float32():
    assert "1 of 5,000 validation images" in judged("float32", 1, 5000).failures[0]
    (failure,) = judged("float32", 0, 5000, odd_wrong=1).failures
    assert "1 of 1,000 odd images are given another class" in failure


def test_a_tie_is_no_difference():
    run = np.array([[1.0, 1.00005], [1.0, 1.001]], np.float32)
    found = agreement(run, 1.0, answers(run[:, ::-1]))
    assert (found.images, found.ties, found.differing) == (2, 1, 1)
    assert found.largest_logit_difference == pytest.approx(0.001, abs=1e-5)


def test_probabilities_of_another_temperature_fail_float32():
    run = of_classes(np.zeros(50, np.int64), gap=2.0)
    found = agreement(run, 1.0, answers(run, temperature=1.5))
    assert found.differing == 0
    difference = accuracy_difference(run, run, np.zeros(50, np.int64))
    parity = judge("float32", "validation images", found, difference, found)
    assert "probabilities of validation images differ by up to" in parity.failures[0]
    assert judge("int8", "validation images", found, difference, found).passed
    assert agreement(run, 1.5, answers(run, temperature=1.5)).largest_prob_difference < 1e-6


def test_numbers_that_are_none_fail():
    logits = of_classes(np.zeros(20, np.int64))
    broken = logits.copy()
    broken[3, 2] = np.nan
    found = agreement(logits, 1.0, answers(broken))
    difference = accuracy_difference(logits, logits, np.zeros(20, np.int64))
    for precision in ("float32", "int8"):
        parity = judge(precision, "validation images", found, difference, found)
        assert "it gives logits that are not finite" in parity.failures


def test_int8_may_differ_on_one_image_in_a_hundred_and_lose_a_fifth_of_a_point():
    labels = np.arange(5000) % 2  # half of the changed images become right
    assert judged("int8", 50, 5000, labels=labels).passed
    assert not judged("int8", 52, 5000, labels=labels).passed
    assert judged("int8", 10, 5000).passed
    (failure,) = judged("int8", 12, 5000).failures
    assert failure.startswith("its accuracy is 99.76 % where the run's is 100.00 %")
    assert judged("int8", 0, 5000, odd_wrong=100).passed
    assert not judged("int8", 0, 5000, odd_wrong=101).passed


def test_of_few_images_chance_is_no_failure():
    assert judged("int8", 1, 36).passed
    assert judged("int8", 2, 36).passed
    assert not judged("int8", 10, 36).passed
    assert not judged("float32", 1, 36).passed


def test_it_is_plain_json():
    kept = json.loads(json.dumps(judged("int8", 10, 5000).to_dict()))
    assert kept["passed"]
    assert kept["labeled"]["agreement"] == pytest.approx(0.998)
    assert kept["accuracy"]["only_run"] == 10
    assert kept["bars"]["least_agreement"] == 0.99
