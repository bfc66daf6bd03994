"""What waits for the thread that writes the prediction log."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .rows import LoggedPrediction

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Order:
    """Rows to write, or other work of the writing thread.

    Attributes:
        rows: to be written, or none.
        work: done in the transaction; what it returns is the result.
        then: done after the commit.
        done: gets the result, or false if the order is lost.
    """

    rows: tuple[LoggedPrediction, ...] = ()
    work: Callable[[Connection], Any] | None = None
    then: Callable[[], None] | None = None
    done: Future[Any] = field(default_factory=Future)

    def __post_init__(self) -> None:
        # Who gives up waiting cannot cancel it: it will be done all the same.
        self.done.set_running_or_notify_cancel()

    @property
    def size(self) -> int:
        """What it takes of the buffer."""
        return max(1, len(self.rows))

    def settle(self, result: Any) -> None:
        """Tell who waits for it; the first word counts."""
        with contextlib.suppress(InvalidStateError):
            self.done.set_result(result)


def call(function: Callable[..., None] | None, *values: Any) -> None:
    """Tell a caller's function; what it raises is its own fault and stops nothing."""
    if function is None:
        return
    try:
        function(*values)
    except Exception:
        _logger.exception("a function that the prediction log calls has failed")
