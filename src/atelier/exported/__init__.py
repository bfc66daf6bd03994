"""Exported models: from uint8 pixels to probabilities, where torch is not installed."""

from .card import ExportCard
from .model import Answers, ExportedModel, load_export

__all__ = ["Answers", "ExportCard", "ExportedModel", "load_export"]
