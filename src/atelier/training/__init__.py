"""Training: the loop, and what it is given."""

from .entry import OnEpoch, can_resume, default_run_path, resolve_recipe, train
from .plan import follows, paths_of

__all__ = [
    "OnEpoch",
    "can_resume",
    "default_run_path",
    "follows",
    "paths_of",
    "resolve_recipe",
    "train",
]
