"""A page over a folder of runs: filter, lay over each other, look into, compare."""

from .entry import dashboard

__all__ = ["dashboard"]
