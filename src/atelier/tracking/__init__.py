"""Tracking: run folders, mirrored into MLflow while they grow and afterwards.

The run folder stays the record. What a tracker has is a copy of it, which can be made again at any
time, so a tracker that is slow or down costs a training nothing.
"""

from .entry import Tracked, track
from .follower import Tracker, following
from .target import Target, target_of

__all__ = ["Target", "Tracked", "Tracker", "following", "target_of", "track"]
