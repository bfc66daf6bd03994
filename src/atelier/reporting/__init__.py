"""Pictures and reports of data, runs and comparisons."""

from .canvas import png_bytes, save_png
from .entry import augmented_examples, report, save_data_figures
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

__all__ = [
    "ReportEntry",
    "augmented_examples",
    "augmented_samples",
    "class_balance",
    "confusable_pairs",
    "confusion_matrix",
    "model_comparison",
    "per_class_f1",
    "png_bytes",
    "report",
    "sample_predictions",
    "samples_per_class",
    "save_data_figures",
    "save_figures",
    "save_png",
    "training_curves",
    "worst_errors",
    "write_report",
]
