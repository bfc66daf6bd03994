"""What predictions are worth: metrics of one run, and comparison of several. Knows no torch."""

from .agreement import Agreement, agreement_of
from .bootstrap import paired_bootstrap
from .calibration import (
    AnswerRule,
    CalibratedScores,
    Calibration,
    answer_rule,
    calibration_of,
    coverage_at,
    fit_calibration,
)
from .comparison import Comparison, ComparisonRow, compare_predictions
from .cross_validation import CrossComparison, cross_compared
from .final import NO_TEST_PART, evaluate, judged_images
from .metrics import (
    ClassScore,
    Confusion,
    Evaluation,
    ece,
    evaluate_predictions,
    nll,
)
from .paired import PairedEffect, balanced_difference, paired_effect, tango_interval
from .pairs import Pair, PairedTest, ScoreDifference
from .power import (
    detectable_difference,
    images_needed,
    mcnemar_power,
    seeds_needed,
    seeds_power,
)
from .ranks import Ranking, critical_difference, friedman_p, rank_over_blocks, wilcoxon_p
from .significance import alpaydin_f, holm, mcnemar_exact, seed_interval, wilson_interval
from .views import ViewGain, ViewGains, view_gains

__all__ = [
    "NO_TEST_PART",
    "Agreement",
    "AnswerRule",
    "CalibratedScores",
    "Calibration",
    "ClassScore",
    "Comparison",
    "ComparisonRow",
    "Confusion",
    "CrossComparison",
    "Evaluation",
    "Pair",
    "PairedEffect",
    "PairedTest",
    "Ranking",
    "ScoreDifference",
    "ViewGain",
    "ViewGains",
    "agreement_of",
    "alpaydin_f",
    "answer_rule",
    "balanced_difference",
    "calibration_of",
    "compare_predictions",
    "coverage_at",
    "critical_difference",
    "cross_compared",
    "detectable_difference",
    "ece",
    "evaluate",
    "evaluate_predictions",
    "fit_calibration",
    "friedman_p",
    "holm",
    "images_needed",
    "judged_images",
    "mcnemar_exact",
    "mcnemar_power",
    "nll",
    "paired_bootstrap",
    "paired_effect",
    "rank_over_blocks",
    "seed_interval",
    "seeds_needed",
    "seeds_power",
    "tango_interval",
    "view_gains",
    "wilcoxon_p",
    "wilson_interval",
]
