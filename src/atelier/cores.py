"""The processor's cores that this process may use."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable


def usable_cores() -> list[int]:
    """Their numbers, in order; on other systems than Linux, all of the machine."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:
        return list(range(os.cpu_count() or 1))


def keep_to(cores: Iterable[int]) -> None:
    """Let the calling thread run on these alone, where the system lets it be said."""
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, cores)
