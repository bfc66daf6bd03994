"""Pictures of comparisons: which there are, and that nothing is overwritten unasked."""

import json

import numpy as np
import pytest

from atelier.errors import StorageError
from atelier.evaluation import compare_predictions
from atelier.predictions import Predictions
from atelier.reporting.comparisons import comparison_pictures, save_comparison

NAMES = ("Röcke & Kleider, lang $x_1$", "cnn <b>", "靴下", "a name that goes on and on and on")


def compared(recipes, seeds=1, n=90, uneven=False):
    rng = np.random.default_rng(0)
    labels = np.sort(rng.choice(3, n, p=[0.7, 0.2, 0.1])) if uneven else np.arange(n) % 3

    def run(accuracy):
        answers = np.where(rng.random(n) < accuracy, labels, (labels + 1) % 3)
        logits = np.eye(3, dtype=np.float32)[answers]
        return Predictions(np.arange(n), labels, logits, ("a", "b", "c"))

    return compare_predictions(
        {NAMES[i]: [(s, run(0.9 - 0.1 * i)) for s in range(seeds)] for i in range(recipes)}
    )


def keys(comparison):
    return [picture.key for picture in comparison_pictures(comparison)]


def test_two_recipes_have_no_ranks_and_four_with_seeds_have_all():
    assert keys(compared(2)) == ["model_comparison", "paired_differences", "agreement"]
    assert keys(compared(4, seeds=3)) == [
        "model_comparison",
        "paired_differences",
        "critical_difference_classes",
        "critical_difference_seeds",
        "agreement",
    ]


def test_everything_is_written_and_stays_unless_asked(tmp_path):
    comparison = compared(3, uneven=True)
    written = save_comparison(comparison, tmp_path / "out")
    assert {path.suffix for path in written} == {".json", ".png"}
    assert all(path.stat().st_size > 500 for path in written)
    facts = json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8"))
    assert facts["uneven"]
    assert len(facts["pairs"]) == 3
    assert set(facts["pairs"][0]["bootstrap"]) == {"accuracy", "balanced_accuracy", "macro_f1"}
    with pytest.raises(StorageError, match="exists already"):
        save_comparison(comparison, tmp_path / "out")
    save_comparison(comparison, tmp_path / "out", overwrite=True)
