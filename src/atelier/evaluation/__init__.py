"""What predictions are worth: metrics of one run, and comparison of several. Knows no torch."""

from .calibration import (
    AnswerRule,
    CalibratedScores,
    Calibration,
    answer_rule,
    calibration_of,
    coverage_at,
    fit_calibration,
)
from .comparison import (
    Comparison,
    ComparisonRow,
    Pair,
    PairedTest,
    compare_predictions,
)
from .final import NO_TEST_PART, evaluate, judged_images
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
    "NO_TEST_PART",
    "AnswerRule",
    "CalibratedScores",
    "Calibration",
    "ClassScore",
    "Comparison",
    "ComparisonRow",
    "Confusion",
    "Evaluation",
    "Pair",
    "PairedTest",
    "answer_rule",
    "calibration_of",
    "compare_predictions",
    "coverage_at",
    "ece",
    "evaluate",
    "evaluate_predictions",
    "fit_calibration",
    "holm",
    "judged_images",
    "mcnemar_exact",
    "nll",
    "seed_interval",
    "wilson_interval",
]
