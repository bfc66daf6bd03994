"""How well a run's embeddings tell classes apart of which a few images are known."""

from .entry import few_shot
from .result import FewShot, Score

__all__ = ["FewShot", "Score", "few_shot"]
