"""Several trained networks as one run: ensembles, snapshots, soups."""

from .entry import ensemble

__all__ = ["ensemble"]
