"""What is wrong with a data set, found before anything is trained on it."""

from .entry import audit
from .findings import Audit, PairFinding, SmallPhoto

__all__ = ["Audit", "PairFinding", "SmallPhoto", "audit"]
