"""Pictures and reports of data, runs and comparisons."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cards import model_card
    from .entry import augmented_examples, report, save_data_figures
    from .findings import TOPICS
    from .gallery import (
        augmented_samples,
        confusable_pairs,
        sample_predictions,
        samples_per_class,
        worst_errors,
    )
    from .page import save_figures, write_report
    from .plots import (
        class_balance,
        confusion_matrix,
        model_comparison,
        per_class_f1,
        training_curves,
    )
    from .subjects import ReportEntry

# Loaded when first asked for: what draws with `canvas` alone, as the report on drift does beside a
# service, works where torch is not installed.
_HOMES = {
    "TOPICS": "findings",
    "ReportEntry": "subjects",
    "augmented_examples": "entry",
    "augmented_samples": "gallery",
    "class_balance": "plots",
    "confusable_pairs": "gallery",
    "confusion_matrix": "plots",
    "model_card": "cards",
    "model_comparison": "plots",
    "per_class_f1": "plots",
    "report": "entry",
    "sample_predictions": "gallery",
    "samples_per_class": "gallery",
    "save_data_figures": "entry",
    "save_figures": "page",
    "training_curves": "plots",
    "worst_errors": "gallery",
    "write_report": "page",
}

__all__ = [
    "TOPICS",
    "ReportEntry",
    "augmented_examples",
    "augmented_samples",
    "class_balance",
    "confusable_pairs",
    "confusion_matrix",
    "model_card",
    "model_comparison",
    "per_class_f1",
    "report",
    "sample_predictions",
    "samples_per_class",
    "save_data_figures",
    "save_figures",
    "training_curves",
    "worst_errors",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value
