"""The scores of one run."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from atelier.errors import RunError
from atelier.evaluation import ece, evaluate_predictions, nll
from atelier.predictions import Predictions


def make(labels, logits, classes=None):
    labels, logits = np.asarray(labels, np.int64), np.asarray(logits, np.float32)
    classes = classes or tuple(f"c{k}" for k in range(logits.shape[1]))
    return Predictions(np.arange(len(labels)), labels, logits, classes)


def certain(labels, predicted, k=3):
    """Predictions with nearly all probability on `predicted`."""
    return make(labels, 8.0 * np.eye(k)[np.asarray(predicted)])


@st.composite
def predictions(draw):
    n, k = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    labels = draw(arrays.arrays(np.int64, n, elements=st.integers(0, k - 1)))
    values = st.floats(-30, 30, width=32)
    return make(labels, draw(arrays.arrays(np.float32, (n, k), elements=values)))


def test_the_scores_of_a_small_example_are_those_counted_by_hand():
    result = evaluate_predictions(certain([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]))
    assert result.accuracy == pytest.approx(4 / 6)
    assert result.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    first = result.per_class[0]
    assert (first.name, first.support) == ("c0", 3)
    assert (first.precision, first.recall, first.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert [(c.true, c.predicted, c.count) for c in result.top_confusions] == [
        ("c0", "c1", 1),
        ("c1", "c0", 1),
    ]
    assert [c.share for c in result.top_confusions] == pytest.approx([1 / 3, 1 / 2])


@given(predictions())
def test_scores_agree_with_scikit_learn(p):
    result, k = evaluate_predictions(p), len(p.classes)
    assert result.accuracy == pytest.approx(sk.accuracy_score(p.labels, p.predicted))
    for own, theirs in (
        (result.macro_precision, sk.precision_score),
        (result.macro_recall, sk.recall_score),
        (result.macro_f1, sk.f1_score),
    ):
        expected = theirs(p.labels, p.predicted, average="macro", zero_division=0)
        assert own == pytest.approx(expected)
    if len(set(p.labels)) > 1 and set(p.predicted) <= set(p.labels):  # else scikit-learn warns
        expected = sk.balanced_accuracy_score(p.labels, p.predicted)
        assert result.balanced_accuracy == pytest.approx(expected)
    if p.probs.min() > 1e-12:  # scikit-learn clips smaller ones
        expected = sk.log_loss(p.labels, p.probs, labels=np.arange(k))
        assert nll(p) == pytest.approx(expected, abs=1e-6)


@given(predictions(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_changes_nothing(p, random):
    order = np.array(random.sample(range(len(p)), len(p)))
    shuffled = Predictions(p.ids[order], p.labels[order], p.logits[order], p.classes)
    one, other = evaluate_predictions(p).to_dict(), evaluate_predictions(shuffled).to_dict()
    for name in ("nll", "ece"):  # sums of floats in another order
        assert one.pop(name) == pytest.approx(other.pop(name), abs=1e-9)
    assert one == other


@given(predictions())
def test_every_score_is_in_its_bounds(p):
    result = evaluate_predictions(p)
    low, high = result.interval
    assert 0 <= low <= result.accuracy <= high <= 1
    assert result.nll >= 0
    assert 0 <= result.ece <= 1
    assert result.confusion.sum() == result.n == len(p)
    counts = [c.count for c in result.top_confusions]
    assert counts == sorted(counts, reverse=True)
    assert all(c.true != c.predicted and c.count > 0 for c in result.top_confusions)


@given(predictions(), st.floats(-5, 5, width=32))
def test_adding_a_constant_to_the_logits_changes_no_probability(p, shift):
    moved = Predictions(p.ids, p.labels, p.logits.astype(np.float64) + shift, p.classes)
    assert nll(moved) == pytest.approx(nll(p), abs=1e-6)


def test_a_class_without_test_images_has_no_recall_and_does_not_warn():
    result = evaluate_predictions(certain([0, 1, 1], [0, 1, 2]))
    empty = result.per_class[2]
    assert empty.support == 0
    assert np.isnan(empty.recall)
    assert empty.precision == 0
    assert result.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)
    row = result.to_dict()["per_class"][2]
    assert row["recall"] is None
    assert "nan" not in str(result)


def test_a_class_that_is_never_predicted_has_no_precision_and_does_not_warn():
    result = evaluate_predictions(certain([0, 1, 2], [0, 1, 1]))
    missing = result.per_class[2]
    assert np.isnan(missing.precision)
    assert (missing.recall, missing.f1) == (0, 0)


def test_a_perfect_run_has_no_confusions():
    result = evaluate_predictions(certain([0, 1, 2], [0, 1, 2]))
    assert result.accuracy == 1
    assert result.top_confusions == ()
    assert "confusion" not in str(result)


def test_ece_is_the_gap_between_confidence_and_accuracy_in_each_bin():
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    # Bin of 0.9: accuracy 1/2, gap 0.4; bin of 0.6: accuracy 1, gap 0.4.
    assert ece(probs, np.array([0, 1, 0, 0])) == pytest.approx(0.4)
    # A gap of +0.4 and one of -0.6 in the same bin cancel, in different bins they do not.
    assert ece(probs, np.array([0, 0, 1, 1])) == pytest.approx(0.5 * 0.1 + 0.5 * 0.6)


def test_ece_of_sure_and_right_predictions_is_zero():
    assert ece(np.eye(4), np.arange(4)) == 0


def test_nll_counts_a_confident_error_in_full():
    assert nll(make([0], [[0.0, 500.0]])) == pytest.approx(500)


def test_no_images_a_foreign_label_and_infinite_logits_are_refused():
    with pytest.raises(RunError, match="no image"):
        evaluate_predictions(make([], np.zeros((0, 3))))
    with pytest.raises(RunError, match="allowed: 0 to 2"):
        evaluate_predictions(make([0, 3], np.zeros((2, 3))))
    with pytest.raises(RunError, match="lower learning rate"):
        evaluate_predictions(make([0], [[0, np.nan, 0]]))


def test_the_result_is_json_and_reads_as_text_and_as_html():
    names = ("<script>alert(1)</script>", "Ankle boot", "Bag")
    labels, called = [0, 1, 2, 2, 1, 0], [0, 1, 2, 0, 1, 1]
    result = evaluate_predictions(make(labels, 5 * np.eye(3)[called], names))
    parsed = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert parsed["accuracy"] == pytest.approx(4 / 6)
    text = str(result)
    assert text.startswith("accuracy 66.67 % on 6 images")
    assert "other seeds are not covered" in text
    assert "Ankle boot" in text
    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()


def test_of_uneven_classes_the_balanced_scores_come_first():
    labels = np.repeat([0, 1], [80, 20])
    called = np.where(np.arange(100) < 90, 0, 1)  # half of the small class is missed
    result = evaluate_predictions(certain(labels, called, 2))
    assert result.uneven
    low, high = result.balanced_interval
    assert low < result.balanced_accuracy == 0.75 < high
    text = str(result)
    assert text.startswith("balanced accuracy 75.00 % on 100 images (95 % interval ")
    assert text.index("macro precision") < text.index("\naccuracy 90.00 %")
    assert "20 to 80" in text
    page = result._repr_html_()
    assert page.index("balanced accuracy 75.00 %") < page.index(">accuracy 90.00 %")
    assert result.to_dict()["balanced_accuracy_interval_95"] == [low, high]


@pytest.mark.parametrize(("sizes", "uneven"), [((20, 30), False), ((20, 31), True)])
def test_classes_are_uneven_from_three_to_two_on(sizes, uneven):
    labels = np.repeat([0, 2], sizes)  # class 1 has no image
    assert evaluate_predictions(certain(labels, labels)).uneven is uneven
