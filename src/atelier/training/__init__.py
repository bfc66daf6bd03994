"""Training: the loop, and what it is given."""

from .entry import can_resume, default_run_path, resolve_recipe, train

__all__ = ["can_resume", "default_run_path", "resolve_recipe", "train"]
