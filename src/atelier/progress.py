"""Progress with an estimate of the time left, for anything that takes over two seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0


class Bar(Protocol):
    """What a long task reports to."""

    def update(self, completed: float, note: str = "") -> None:
        """Say how much of the total is done, and a few words on the state."""


class _NoBar:
    def update(self, completed: float, note: str = "") -> None:
        pass


class _RichBar:
    def __init__(self, progress: Progress, title: str, total: float) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, note="")

    def update(self, completed: float, note: str = "") -> None:
        self._progress.update(self._task, completed=completed, note=note)


class _LineBar:
    """For a log file or a pipe: a whole line now and then instead of a redrawn bar."""

    def __init__(self, title: str, total: float) -> None:
        self._title, self._total = title, total
        self._start = self._last = time.monotonic()

    def update(self, completed: float, note: str = "") -> None:
        now = time.monotonic()
        done = completed >= self._total
        if completed <= 0 or (now - self._last < _SECONDS_BETWEEN_LINES and not done):
            return
        self._last = now
        left = max(0.0, (now - self._start) * (self._total - completed) / completed)
        share = 100 * completed / self._total if self._total else 100
        line = f"{self._title} {share:3.0f} %  {note}  {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)


@contextmanager
def progress_bar(title: str, total: float, *, show: bool = True) -> Iterator[Bar]:
    """A bar on standard error: redrawn in place on a terminal, a line every 10 s elsewhere.

    Args:
        title: what is being done.
        total: what `Bar.update` counts up to.
        show: false for silence.
    """
    if not show:
        yield _NoBar()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LineBar(title, total)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeRemainingColumn(),
    )
    # What is printed meanwhile goes above the bar, but never from a pipe onto the terminal.
    above = sys.stdout.isatty()
    with Progress(*columns, console=console, redirect_stdout=above) as progress:
        yield _RichBar(progress, title, total)
