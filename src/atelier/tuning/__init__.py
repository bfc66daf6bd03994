"""Tuning: which settings of a recipe do best on validation images."""

from .entry import tune
from .lr_range import LearningRateRange, lr_range
from .result import Tuning, load_tuning

__all__ = ["LearningRateRange", "Tuning", "load_tuning", "lr_range", "tune"]
