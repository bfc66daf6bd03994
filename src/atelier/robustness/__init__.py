"""How a run stands up to what it was not trained on: corruptions, attacks, subgroups."""

from .entry import robustness
from .result import Robustness, RunRobustness, load_robustness

__all__ = ["Robustness", "RunRobustness", "load_robustness", "robustness"]
