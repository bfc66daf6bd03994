"""Exports: a run in one file that gives the run's own answers."""

from .entry import Export, export
from .parity import Parity

__all__ = ["Export", "Parity", "export"]
