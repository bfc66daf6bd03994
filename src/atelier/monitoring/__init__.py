"""What a service remembers and shows of its answers, and whether they still deserve trust."""

from .facts import ImageFacts, image_facts
from .log import PredictionLog
from .metrics import ServiceMetrics
from .rows import Gap, LoggedPrediction, logged_predictions

__all__ = [
    "Gap",
    "ImageFacts",
    "LoggedPrediction",
    "PredictionLog",
    "ServiceMetrics",
    "image_facts",
    "logged_predictions",
]
