"""Classes with too few images are named, and even classes pass in silence."""

import numpy as np

from atelier.data.balance import balance_warnings

CLASSES = ("dress", "hat", "shirt")


def labels(*counts):
    return np.repeat(np.arange(len(counts)), counts)


def test_even_classes_need_no_warning():
    assert balance_warnings(CLASSES, labels(100, 20, 90), labels(10, 10, 30)) == []


def test_too_few_to_learn_from():
    (warning,) = balance_warnings(CLASSES, labels(60, 19, 80))
    assert "fewer than 20 training images of hat (19)" in warning


def test_an_uneven_set():
    (warning,) = balance_warnings(CLASSES, labels(1_100, 200, 500))
    assert "dress (1,100 training images), has 5.5 times as many as the smallest, hat" in warning
    assert balance_warnings(CLASSES, labels(1_000, 200, 500)) == []


def test_too_few_to_judge_by_the_smallest_first():
    (warning,) = balance_warnings(CLASSES, labels(50, 50, 50), labels(9, 0, 10))
    assert "fewer than 10 validation images of hat (0) and dress (9)" in warning
    assert "a guess" in warning


def test_many_small_classes_are_counted():
    names = [f"class {k}" for k in range(9)]
    (warning,) = balance_warnings(names, np.arange(9))
    assert "class 4 (1) and 4 more classes" in warning


def test_a_class_without_training_images():
    (warning,) = balance_warnings(CLASSES, labels(50, 0, 50))
    assert "hat (0)" in warning


def test_training_on_few_photos_says_so(photo_folder, train_on_photos, tmp_path, capsys):
    train_on_photos(tmp_path / "run", photo_folder)
    assert "too few to learn from" in capsys.readouterr().err
