"""What predictions are worth: metrics of one run, and comparison of several. Knows no torch."""

from .comparison import (
    Comparison,
    ComparisonRow,
    Pair,
    PairedTest,
    compare_predictions,
)
from .final import evaluate
from .metrics import (
    ClassScore,
    Confusion,
    Evaluation,
    ece,
    evaluate_predictions,
    nll,
)
from .significance import holm, mcnemar_exact, seed_interval, wilson_interval

__all__ = [
    "ClassScore",
    "Comparison",
    "ComparisonRow",
    "Confusion",
    "Evaluation",
    "Pair",
    "PairedTest",
    "compare_predictions",
    "ece",
    "evaluate",
    "evaluate_predictions",
    "holm",
    "mcnemar_exact",
    "nll",
    "seed_interval",
    "wilson_interval",
]
