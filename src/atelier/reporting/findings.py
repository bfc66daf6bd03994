"""What the other verbs know of the runs, for the report."""

from __future__ import annotations

from dataclasses import dataclass

from .sections import Section


@dataclass(frozen=True, eq=False)
class Finding:
    """One verb's section, and what of it belongs into the summary."""

    section: Section
    sentences: tuple[str, ...] = ()
