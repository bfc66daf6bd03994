"""Each picture is drawn, whole, and no label is cut, also for hostile input."""

import sys

import numpy as np
import pytest
from matplotlib.text import Text

from atelier import reporting
from atelier.drawing.canvas import png_bytes, save_png
from atelier.evaluation import compare_predictions, evaluate_predictions
from tests.reporting.fakes import FakeRun, make_dataset, make_images, make_predictions

NAMES = {
    "hostile": ("$x_1$ & <b>", "_hidden\nline", "W" * 60, "靴", " "),
    "many": tuple(f"class number {k}" for k in range(30)),
    "two": ("yes", "no"),
}

comparison_of = {
    "one seed": lambda p: compare_predictions({"a": [(0, p)], "_b$": [(0, p)]}),
    "seeds": lambda p: compare_predictions(
        {"a": [(0, p), (1, p)], "W" * 40: [(0, p), (1, p)]},
        {"a": {"train_seconds": 61.0}, "W" * 40: {"train_seconds": 3000.0}},
    ),
}


def is_cut(figure):
    """Whether anything that the figure draws lies beyond its edges."""
    figure.draw_without_rendering()  # lays it out
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return min(box.x0, box.y0) < -0.01 or box.x1 > width + 0.01 or box.y1 > height + 0.01


def pictures(classes, *, channels=1):
    dataset = make_dataset(classes, channels=channels, n=90)
    predictions = make_predictions(dataset, noise=2)
    result = evaluate_predictions(predictions)
    images, augmented = dataset.test.images, np.repeat(dataset.test.images[:3, None], 5, axis=1)
    history = FakeRun().history
    yield "curves", reporting.training_curves({"a": history})
    yield "curves", reporting.training_curves(dict.fromkeys(classes, history))
    yield "balance", reporting.class_balance({"train": dataset.train.labels}, classes)
    yield "matrix", reporting.confusion_matrix(result.confusion, classes)
    yield "f1", reporting.per_class_f1({"a": result})
    yield "f1", reporting.per_class_f1({"a": result, "_b": result, "$c$": result})
    yield "samples", reporting.samples_per_class(images, predictions.labels, classes)
    yield "augmented", reporting.augmented_samples(images[:3], augmented)
    yield "predictions", reporting.sample_predictions(images, predictions)
    yield "worst", reporting.worst_errors(images, predictions)
    yield "pairs", reporting.confusable_pairs(images, predictions)
    for make in comparison_of.values():
        yield "comparison", reporting.model_comparison(make(predictions))


@pytest.mark.parametrize("classes", NAMES.values(), ids=NAMES)
def test_no_label_of_any_picture_is_cut(classes):
    for name, figure in pictures(classes):
        assert not is_cut(figure), name


def test_color_images_are_drawn_in_color():
    images = np.zeros((4, 3, 8, 8), np.uint8)
    images[:, 0] = 255
    drawn = reporting.samples_per_class(images, np.zeros(4, np.int64), ("red",))
    png_bytes(drawn)
    pixels = np.asarray(drawn.canvas.buffer_rgba())[..., :3].reshape(-1, 3)
    assert (pixels == (255, 0, 0)).all(axis=1).any()


def test_images_keep_their_shape():
    tall = np.zeros((2, 1, 20, 10), np.uint8)
    drawn = reporting.samples_per_class(tall, np.zeros(2, np.int64), ("tall",))
    left, right, bottom, top = drawn.axes[0].images[0].get_extent()
    assert abs(bottom - top) == pytest.approx(2 * (right - left))


def test_a_run_without_errors_has_no_error_pictures():
    dataset = make_dataset()
    predictions = make_predictions(dataset, noise=0)
    assert reporting.worst_errors(dataset.test.images, predictions) is None
    assert reporting.confusable_pairs(dataset.test.images, predictions) is None


def test_the_worst_errors_are_the_surest_ones_first():
    dataset = make_dataset()
    predictions = make_predictions(dataset, noise=3)
    drawn = reporting.worst_errors(dataset.test.images, predictions, count=3)
    shown = [text.get_text() for text in drawn.findobj(Text) if "sure" in text.get_text()]
    wrong = ~predictions.correct
    top = np.sort(predictions.probs.max(axis=1)[wrong])[::-1][:3]
    assert shown == ["> 99.9 % sure" if p > 0.999 else f"{100 * p:.1f} % sure" for p in top]


def test_right_and_wrong_differ_by_more_than_color():
    dataset = make_dataset()
    drawn = reporting.sample_predictions(
        dataset.test.images, make_predictions(dataset, noise=3), count=30
    )
    words = " ".join(text.get_text() for text in drawn.findobj(Text))
    assert "✓ right" in words
    assert "✗ is" in words


def test_curves_bear_epochs_that_measured_nothing():
    rows = [
        {"epoch": 1, "train/loss": 1.0, "validation/accuracy": None},
        {"epoch": 2, "train/loss": float("nan"), "validation/accuracy": 0.5},
    ]
    assert png_bytes(reporting.training_curves({"a": rows}))


def test_a_class_without_images_has_its_row():
    images = make_images(3)
    drawn = reporting.samples_per_class(images, np.zeros(3, np.int64), ("Bag", "Coat"))
    assert "no images" in [text.get_text() for text in drawn.findobj(Text)]


def test_the_confusion_matrix_shows_percent_and_count():
    drawn = reporting.confusion_matrix(np.array([[90, 10], [0, 0]]), ("Bag", "Coat"))
    words = [text.get_text() for text in drawn.findobj(Text)]
    assert "90.0\n(90)" in words
    assert "10.0\n(10)" in words


def test_the_same_data_give_the_same_bytes_and_no_figure_is_left_in_pyplot():
    dataset = make_dataset()
    predictions = make_predictions(dataset)
    first, second = (
        png_bytes(reporting.sample_predictions(dataset.test.images, predictions)) for _ in range(2)
    )
    assert first == second
    assert first.startswith(b"\x89PNG")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []


def test_a_png_is_written_whole_or_not_at_all(tmp_path):
    drawn = reporting.training_curves({"a": FakeRun().history})
    path = save_png(drawn, tmp_path / "new" / "curves.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in path.parent.iterdir()] == ["curves.png"]
