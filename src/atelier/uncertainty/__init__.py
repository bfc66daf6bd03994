"""How far a run's probabilities can be trusted, and whether it knows what it does not know."""

from .entry import uncertainty
from .pictures import uncertainty_pictures
from .result import Uncertainty, load_uncertainty

__all__ = ["Uncertainty", "load_uncertainty", "uncertainty", "uncertainty_pictures"]
