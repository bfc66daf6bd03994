"""Why a run takes an image for what it takes it for, and what such an explanation is worth."""

from .checks import Checks, load_checks
from .entry import explain, explained_examples
from .methods import METHODS
from .result import Explanation, Explanations

__all__ = [
    "METHODS",
    "Checks",
    "Explanation",
    "Explanations",
    "explain",
    "explained_examples",
    "load_checks",
]
