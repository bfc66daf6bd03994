"""Many recipes under one budget, and who did best for what it cost."""

from .entry import bench_zoo
from .leaderboard import Entry, Leaderboard

__all__ = ["Entry", "Leaderboard", "bench_zoo"]
