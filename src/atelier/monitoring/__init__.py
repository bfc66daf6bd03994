"""What a service remembers and shows of its answers, and whether they still deserve trust."""

from .administration import delete_request, prune_log
from .boards import provision
from .entry import drift
from .facts import ImageFacts, image_facts
from .findings import Drift, Finding
from .log import PredictionLog
from .metrics import ServiceMetrics
from .reference import Reference, reference_of, reference_path
from .rows import Asked, Gap, LoggedPrediction, logged_predictions

__all__ = [
    "Asked",
    "Drift",
    "Finding",
    "Gap",
    "ImageFacts",
    "LoggedPrediction",
    "PredictionLog",
    "Reference",
    "ServiceMetrics",
    "delete_request",
    "drift",
    "image_facts",
    "logged_predictions",
    "provision",
    "prune_log",
    "reference_of",
    "reference_path",
]
