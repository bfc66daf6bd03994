"""Which recipes differ, and in which words."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atelier.errors import RunError
from atelier.evaluation import compare_predictions
from atelier.predictions import Predictions

CLASSES = ("Shirt", "Coat", "Bag")


def right_on(correct, classes=CLASSES, first_id=0):
    """A run that is right exactly where `correct` is true."""
    correct = np.asarray(correct, bool)
    labels = np.arange(len(correct)) % len(classes)
    predicted = np.where(correct, labels, (labels + 1) % len(classes))
    logits = 4 * np.eye(len(classes), dtype=np.float32)[predicted]
    return Predictions(np.arange(len(correct)) + first_id, labels, logits, classes)


def first(n_correct, n=1000):
    return right_on(np.arange(n) < n_correct)


def random_run(accuracy, seed, n=400):
    return right_on(np.random.default_rng(seed).random(n) < accuracy)


def test_a_clear_difference_is_said_with_its_counts():
    result = compare_predictions({"mlp": [(0, first(800))], "cnn": [(0, first(900))]})
    assert [row.name for row in result.rows] == ["cnn", "mlp"]
    (sentence,) = result.sentences
    assert sentence == (
        "cnn is better than mlp here (seed 0): 90.00 % against 80.00 %; on 1,000 test images 100 "
        "were right only for cnn and 0 only for mlp, p < 0.001 (Holm). The gap is 10.00 points "
        "(95 % interval 8.29 to 12.02)."
    )


def test_runs_that_cannot_be_told_apart_are_called_indistinguishable():
    result = compare_predictions({"a": [(3, first(900))], "b": [(3, first(903))]})
    (sentence,) = result.sentences
    assert sentence.startswith("b and a are indistinguishable here (seed 3)")
    assert "p = 0.25 (Holm)" in sentence
    assert "better" not in sentence


def test_holm_decides_and_not_the_raw_p_value():
    # Alone 6 to 0 has p = 0.031; among three pairs it no longer counts.
    runs = {"a": [(0, first(900))], "b": [(0, first(906))]}
    assert "is better than" in compare_predictions(runs).sentences[0]
    with_third = compare_predictions({**runs, "c": [(0, first(903))]})
    assert not any("is better than" in sentence for sentence in with_third.sentences)
    assert all(pair.primary.p_holm >= pair.primary.p for pair in with_third.pairs)


def test_one_seed_shows_the_image_interval_and_says_that_seeds_are_not_covered():
    result = compare_predictions({"a": [(0, first(900))], "b": [(0, first(800))]})
    row = result.rows[0]
    assert row.seed_interval is None
    assert row.image_interval[0] < 0.9 < row.image_interval[1]
    text = str(result)
    assert "does not cover other seeds" in text
    assert "Trained with one seed only: a, b" in text


def test_several_seeds_show_their_interval_and_the_paired_difference():
    runs = {
        "a": [(1, first(902)), (0, first(900)), (2, first(904))],
        "b": [(0, first(850)), (1, first(851)), (2, first(855))],
    }
    result = compare_predictions(runs)
    row = result.rows[0]
    assert row.seeds == (0, 1, 2)
    assert row.accuracy == pytest.approx(0.902)
    assert row.seed_interval == pytest.approx((0.902 - 0.004968, 0.902 + 0.004968), abs=1e-5)
    (pair,) = result.pairs
    assert [test.seed_a for test in pair.tests] == [0, 1, 2]
    assert pair.difference == pytest.approx((0.05, 0.05 - 0.0024841, 0.05 + 0.0024841), abs=1e-5)
    (sentence,) = result.sentences
    assert sentence.startswith("a is better than b on each of 3 seeds, as on seed 0: 90.00 %")
    assert "Over 3 common seeds a is ahead by 5.00 points on average on these images" in sentence
    assert "includes zero" not in sentence
    assert "otherwise" not in sentence


def test_seeds_that_disagree_are_said():
    runs = {
        "a": [(0, first(950)), (1, first(900)), (2, first(800))],
        "b": [(0, first(900)), (1, first(900)), (2, first(880))],
    }
    (sentence,) = compare_predictions(runs).sentences
    assert sentence.startswith(
        "a and b are indistinguishable over 3 seeds, although a was ahead on seed 0: 95.00 %"
    )
    assert "better than" not in sentence
    assert (
        "The same test says otherwise on seed 1 (no difference shown, p = 1.00), "
        "2 (b better, p < 0.001)." in sentence
    )
    assert "an interval that includes zero: new seeds may reverse the order" in sentence


def test_without_a_common_seed_the_sentence_names_both():
    result = compare_predictions({"a": [(0, first(950))], "b": [(7, first(900))]})
    assert "(a seed 0, b seed 7)" in result.sentences[0]
    assert result.pairs[0].difference is None


def test_costs_are_shown_where_they_are_known():
    costs = {"a": {"parameters": 421642, "train_seconds": 61.4, "inference_ms_per_image": 0.0312}}
    text = str(compare_predictions({"a": [(0, first(9))], "b": [(0, first(8))]}, costs))
    line = next(line for line in text.splitlines() if line.startswith("a "))
    assert re.search(r"421,642 +61 s +0\.0312", line)
    assert next(line for line in text.splitlines() if line.startswith("b ")).split()[-1] == "-"


def test_one_recipe_alone_is_a_table_without_pairs():
    result = compare_predictions({"cnn": [(0, first(900)), (1, first(910))]})
    assert result.pairs == result.sentences == ()
    assert "cnn" in str(result)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (right_on(np.ones(30), first_id=1), "test images"),
        (right_on(np.ones(31)), "test images and labels"),
        (right_on(np.ones(30), classes=("Shirt", "Bag", "Coat")), "classes"),
    ],
)
def test_runs_on_other_images_or_classes_are_refused(other, what):
    with pytest.raises(
        RunError, match=f"b .seed 4. and a .seed 0. cannot be compared: their {what}"
    ):
        compare_predictions({"a": [(0, right_on(np.ones(30)))], "b": [(4, other)]})


def test_other_labels_for_the_same_images_are_refused():
    one = right_on(np.ones(30))
    other = Predictions(one.ids, one.labels[::-1].copy(), one.logits, one.classes)
    with pytest.raises(RunError, match="labels are not the same"):
        compare_predictions({"a": [(0, one)], "b": [(0, other)]})


def test_no_runs_and_a_seed_given_twice_are_refused():
    for nothing in ({}, {"a": []}):
        with pytest.raises(RunError, match="no runs"):
            compare_predictions(nothing)
    with pytest.raises(RunError, match="twice with the same seed"):
        compare_predictions({"a": [(0, first(9)), (0, first(8))]})


def test_equal_recipes_are_seldom_called_different():
    """An A/A trial of the whole comparison: three equal recipes, and no word "better"."""
    trials = 100
    alarms = 0
    for trial in range(trials):
        runs = {name: [(0, random_run(0.9, 10 * trial + i, 300))] for i, name in enumerate("abc")}
        alarms += any("better" in sentence for sentence in compare_predictions(runs).sentences)
    assert alarms <= 0.05 * trials + 3 * (0.05 * 0.95 * trials) ** 0.5


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(60)), st.permutations(["a", "b", "c"]))
def test_the_order_of_images_and_of_recipes_changes_nothing(order, names):
    runs = {name: [(s, random_run(0.7, 10 * s + ord(name), 60)) for s in (0, 1)] for name in "abc"}

    def reorder(p):
        keep = np.array(order)
        return Predictions(p.ids[keep], p.labels[keep], p.logits[keep], p.classes)

    shuffled = {name: [(s, reorder(p)) for s, p in runs[name]] for name in names}
    one, other = compare_predictions(runs), compare_predictions(shuffled)
    assert one.to_dict() == other.to_dict()


def test_the_result_is_json_and_names_are_inert_in_a_notebook():
    name = "<img src=x onerror=alert(1)>"
    result = compare_predictions({name: [(0, first(900))], "b": [(0, first(800))]})
    parsed = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert parsed["pairs"][0]["tests"][0]["only_a"] == 100
    assert "<img" not in result._repr_html_()


def test_what_cannot_be_told_says_how_many_images_would_tell_it():
    places = np.arange(2000)
    a, b = places >= 30, (places < 30) | (places >= 70)  # 40 only a, 30 only b
    result = compare_predictions({"a": [(0, right_on(a))], "b": [(0, right_on(b))]})
    (pair,) = result.pairs
    assert (pair.verdict, pair.primary.only_a, pair.primary.only_b) == (0, 40, 30)
    assert pair.primary.images_needed == pytest.approx(10_986, abs=2)
    assert "About 11,000 test images would be needed to tell such a gap." in result.sentences[0]


def test_models_right_on_the_same_images_are_said_to_be():
    result = compare_predictions({"a": [(0, first(900))], "b": [(0, first(900))]})
    assert "They are right on the very same test images." in result.sentences[0]


def test_seeds_can_take_better_back():
    runs = {
        "a": [(0, first(930)), (1, first(880)), (2, first(900))],
        "b": [(0, first(890)), (1, first(890)), (2, first(890))],
    }
    (pair,) = compare_predictions(runs).pairs
    assert pair.primary.verdict != 0
    assert pair.verdict == 0
    assert pair.seeds_needed > 3


def test_uneven_classes_are_ranked_by_balanced_accuracy():
    labels = np.array([0] * 900 + [1] * 100)
    names = ("often", "seldom")

    def run(answers):
        logits = np.eye(2, dtype=np.float32)[answers]
        return Predictions(np.arange(1000), labels, logits, names)

    always_often = run(np.zeros(1000, int))
    careful = run(np.where(np.arange(1000) % 6 == 0, 1 - labels, labels))
    result = compare_predictions({"lazy": [(0, always_often)], "careful": [(0, careful)]})
    assert result.uneven
    assert [row.name for row in result.rows] == ["careful", "lazy"]
    assert result.rows[0].accuracy < result.rows[1].accuracy
    assert "against the order by plain accuracy" in result.sentences[0]
    assert "balanced" in str(result).splitlines()[0]


def test_of_many_pairs_only_those_of_the_first_are_said():
    runs = {f"r{i}": [(0, first(900 - 10 * i))] for i in range(7)}
    result = compare_predictions(runs)
    assert len(result.sentences) == 21
    assert "15 more pairs, without r0, are in the JSON." in str(result)
    assert "r5 and r6" not in str(result)
