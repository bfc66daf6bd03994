"""The benchmark injects what it says, scores rankings rightly, and runs."""

import json

import numpy as np
import pytest

from atelier.data import load_dataset
from benchmarks.label_errors import inject, main, measured, scores


def test_wrong_labels_are_injected_and_known(tmp_path):
    chosen = inject("fashion-mnist-sample", 0.03, tmp_path / "wrong.csv")
    before, after = load_dataset("fashion-mnist-sample"), load_dataset(tmp_path / "wrong.csv")
    changed = np.flatnonzero(before.train.labels != after.train.labels)
    assert np.array_equal(changed, chosen)
    assert len(chosen) == 30
    assert np.array_equal(before.test.labels, after.test.labels)


def test_rankings_are_scored():
    wrong = np.array([False, True, False, True])
    found = measured(np.array([0.1, 0.9, 0.5, 0.2]), wrong, [1, 2])
    assert found["precision_at_1"] == 1
    assert found["precision_at_2"] == 0.5
    assert found["average_precision"] == (1 + 2 / 3) / 2
    probs = np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1]])
    for name, score in scores(probs, np.array([0, 0])).items():
        assert score[1] > score[0], name


def test_it_runs(tmp_path, capsys):
    results = tmp_path / "results.json"
    words = ["--data", "fashion-mnist-sample", "--recipe", "mlp", "--folds", "2"]
    assert main([*words, "--keep", str(tmp_path), "--results", str(results)]) == 0
    found = json.loads(results.read_text())
    assert found["injected"] == 30
    loss = found["rankings"]["self-confidence, or loss"]
    assert found["audit"]["average_precision"] == pytest.approx(loss["average_precision"], abs=0.02)
    assert found["audit"]["average_precision"] > 0.2
    assert "of the 30 injected are flagged" in capsys.readouterr().out
