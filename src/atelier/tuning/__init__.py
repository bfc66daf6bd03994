"""Tuning: which settings of a recipe do best on validation images."""

from .entry import tune
from .result import Tuning, load_tuning

__all__ = ["Tuning", "load_tuning", "tune"]
