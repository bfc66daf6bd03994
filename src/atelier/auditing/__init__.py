"""What is wrong with a data set, found before anything is trained on it."""

from .entry import audit
from .findings import Audit, PairFinding, SmallPhoto
from .label_findings import LabelAudit, Outlier, Overlap, Suspect

__all__ = [
    "Audit",
    "LabelAudit",
    "Outlier",
    "Overlap",
    "PairFinding",
    "SmallPhoto",
    "Suspect",
    "audit",
]
