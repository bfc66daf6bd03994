"""How to have the same again: commands and environments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..sections import Code, Facts, Section
from ..subjects import Subject


def reproduction_section(subject: Subject) -> Section:
    """The command of each run, and each different environment once."""
    commands = [Code(entry.run.command, title=name) for name, entry in subject.entries.items()]
    environments = [
        Section(f"environment-{number}", f"Environment of {names}", [Facts(items)])
        for number, (names, items) in enumerate(_environments(subject), start=1)
    ]
    return Section("reproduce", "How to repeat it", commands, environments)


def _environments(subject: Subject) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each different environment once, with the names of its runs."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, entry in subject.entries.items():
        groups.setdefault(tuple(flat(entry.run.environment)), []).append(name)
    return [(", ".join(names), list(items)) for items, names in groups.items()]


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted names of all leaves with their values as text."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{key}", ", ".join(map(str, value)) or "none"))
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
