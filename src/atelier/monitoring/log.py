"""The prediction log as a service writes it: never in the way, and honest about what it lost.

Rows wait in a bounded buffer, and a thread of its own writes them in groups: while one group is
being committed, the next gathers. A row is acknowledged by a future, which is true once the row is
committed; what that promises is that killing the process does not lose it.

Where the database is away, the rows wait and the thread comes back, at first soon and then every
few seconds. What finds the buffer full is lost, counted, and noted in the log itself as a gap when
the database is there again. A prediction never fails, nor waits, for any of this.
"""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from ..errors import AtelierError, ConfigError, LogError
from ..extras import require
from .orders import Order, call
from .rows import Gap, LoggedPrediction

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_GROUP = 1_000  # rows of one transaction
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_PRUNE_EVERY_S = 3600.0

_logger = logging.getLogger(__name__)


class PredictionLog:
    """A log in a database, with the thread that writes it.

    Args:
        url: ``sqlite:///FILE``, which is made where it is missing, or ``postgresql+psycopg://...``.
        retention_days: what is older is deleted, in small portions; None keeps everything.
        capacity: how many rows may wait.
        on_written: told how many rows were committed, by the writing thread.
        on_lost: told how many rows were lost, by whichever thread lost them.
        on_feedback: told the model's name and whether it was right, for each committed feedback.

    Raises:
        LogError: the address is of no such database, a file cannot be used, or the tables are of
            a newer version of atelier. A server that does not answer is no error: rows wait for it.
        ConfigError: a number is out of range.
        AtelierError: a library is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        retention_days: float | None = None,
        capacity: int = 10_000,
        on_written: Callable[[int], None] | None = None,
        on_lost: Callable[[int], None] | None = None,
        on_feedback: Callable[[str, bool], None] | None = None,
    ) -> None:
        if capacity < 1:
            raise ConfigError("a log must hold something", got=capacity, allowed="from 1 on")
        if retention_days is not None and not retention_days > 0:
            raise ConfigError("a log must keep something", got=retention_days, allowed="over 0")
        require("sqlalchemy", extra="monitor")
        from .store import PORTION, Store

        self._portion = PORTION
        self._store = Store(url, create=True)
        self._retention = None if retention_days is None else timedelta(days=retention_days)
        self._capacity = capacity
        self._on_written, self._on_lost = on_written, on_lost
        self._on_feedback = on_feedback
        self._writer = secrets.token_hex(8)
        self._changed = threading.Condition()
        self._orders: deque[Order] = deque()
        self._taken: list[Order] = []  # what is being written now
        self._waiting = self._written = self._lost = 0
        self._gap: Gap | None = None
        self._problem: str | None = None
        self._prepared = False
        self._closing = self._ended = False
        self._prune_at = time.monotonic()
        self._open()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        """The address of the database, without a password."""
        return self._store.name

    @property
    def pending(self) -> int:
        """How many rows wait to be written."""
        return self._waiting

    @property
    def written(self) -> int:
        """How many rows have been committed."""
        return self._written

    @property
    def lost(self) -> int:
        """How many rows have been lost."""
        return self._lost

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now; None while all is well."""
        return self._problem

    def record(self, rows: Sequence[LoggedPrediction]) -> Future[bool]:
        """Give rows to be written; at once, whatever the database does.

        Returns:
            Done with true once all of them are committed, with false once they are lost.
        """
        order = Order(rows=tuple(rows))
        if not self._give(order):
            self._lose([order])
        return order.done

    def feedback(self, request_id: str, image_index: int, label: str) -> Future[bool | None]:
        """Note the true class of an image that was answered; a later word replaces an earlier.

        Returns:
            Done with true once it is committed, with None where the log knows no such image, with
            false if it is lost.
        """

        def note(connection: Connection) -> bool | None:
            answer = self._store.write_feedback(connection, request_id, image_index, label)
            if answer is None:
                return None
            model, predicted = answer
            order.then = lambda: call(self._on_feedback, model, predicted == label)
            return True

        order = Order(work=note)
        if not self._give(order):
            self._lose([order])
        return order.done

    def delete(self, request_id: str, *, timeout: float = 30.0) -> int:
        """Remove everything of a request, also what still waits to be written; this one waits.

        Returns:
            The number of predictions that were removed.

        Raises:
            LogError: the database did not do it within `timeout` seconds. It is done later, if the
                database is there again before the process ends.
        """
        order = Order(
            work=lambda connection: self._store.delete(connection, request_id),
            then=self._store.forget,
        )
        found: int | Literal[False] = False
        if self._give(order, always=True):
            with contextlib.suppress(TimeoutError):
                found = order.done.result(timeout)
        if found is False:
            raise LogError(
                f"the predictions of request {request_id} could not be deleted yet",
                fix="Try again when the log can be written",
            )
        return found

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, for at most `timeout` seconds, and count the rest as lost."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout)
        with self._changed:
            self._ended = True
            left = [*self._taken, *self._orders]
            self._taken, self._orders, self._waiting = [], deque(), 0
            self._changed.notify_all()
        self._lose(left)
        if not self._thread.is_alive():
            self._store.close()

    def _open(self) -> None:
        """Make the tables; a file that cannot be used is told now, a server may come later."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._store.prepare()
            self._prepared = True
        except SQLAlchemyError as error:
            problem = self._store.unusable(error)
            if self._store.is_file:
                self._store.close()
                raise problem from error
            self._tell_problem(problem)
        except BaseException:
            self._store.close()
            raise

    def _give(self, order: Order, *, always: bool = False) -> bool:
        with self._changed:
            full = self._waiting + order.size > self._capacity
            if self._closing or (full and not always):
                return False
            self._orders.append(order)
            self._waiting += order.size
            self._changed.notify()
        return True

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while self._take():
            try:
                if not self._prepared:
                    self._store.prepare()
                    self._prepared = True
                self._write(self._taken)
                self._prune()
            except Exception as error:
                self._put_back()
                self._prepared = False
                self._store.close()
                self._tell_problem(error)
                # Not all writers of a server that comes back at one moment.
                self._sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            else:
                if self._problem is not None:
                    _logger.warning("the prediction log %s is written again", self.name)
                self._problem, wait_s = None, _FIRST_WAIT_S

    def _take(self) -> bool:
        """Wait for something to do and take a group of it; false when all is done."""
        with self._changed:
            while not self._orders and not self._closing and (wait_s := self._idle_s()) != 0:
                self._changed.wait(wait_s)
            if self._ended or (self._closing and not self._orders):
                return False
            size = 0
            while self._orders and (not size or size + self._orders[0].size <= _GROUP):
                order = self._orders.popleft()
                size += order.size
                self._taken.append(order)
        return True

    def _idle_s(self) -> float | None:
        """How long nothing has to be done if nobody asks for it; None is for ever."""
        if self._problem is not None or self._gap is not None:
            return 0
        if self._retention is None:
            return None
        return max(0.0, self._prune_at - time.monotonic())

    def _put_back(self) -> None:
        with self._changed:
            self._orders.extendleft(reversed(self._taken))
            self._taken = []

    def _write(self, group: list[Order], *, again: bool = False) -> None:
        """Commit a group; where an order spoils it, each for itself.

        Raises:
            Exception: the database is away: what is still in `_taken` is to be tried again.
        """
        if not group and self._gap is None:
            return
        try:
            results = self._commit(group)
        except Exception as error:
            if not group or self._store.is_away(error):
                raise
            if not again:
                self._store.prepare()  # somebody may have dropped the tables
                self._write(group, again=True)
            elif len(group) > 1:
                for order in group:
                    self._write([order], again=True)
            else:
                reason = getattr(error, "orig", None) or error
                _logger.warning("the prediction log cannot keep a row: %s", reason)
                self._finished(group)
                self._lose(group)
            return
        rows = sum(len(order.rows) for order in group)
        self._written += rows
        self._finished(group)
        if rows:
            call(self._on_written, rows)
        for order, result in zip(group, results, strict=True):
            if order.then is not None:
                call(order.then)
            order.settle(result)

    def _commit(self, group: list[Order]) -> list[Any]:
        with self._changed:
            gap, self._gap = self._gap, None
        results: list[Any] = []
        try:
            with self._store.changing() as connection:
                rows: list[LoggedPrediction] = []
                for order in group:
                    rows += order.rows
                    if order.work is not None:
                        self._store.write(connection, rows)  # it may look for what was given before
                        rows = []
                    results.append(True if order.work is None else order.work(connection))
                self._store.write(connection, rows)
                if gap is not None:
                    self._store.write_gap(connection, self._writer, gap)
        except BaseException:
            if gap is not None:
                self._widen(gap)
            raise
        return results

    def _finished(self, group: list[Order]) -> None:
        """These are not to be tried again, whatever came of them."""
        with self._changed:
            if self._ended:  # they have been given up
                return
            ended = set(group)
            self._taken = [order for order in self._taken if order not in ended]
            self._waiting -= sum(order.size for order in group)

    def _prune(self) -> None:
        if self._retention is None or time.monotonic() < self._prune_at:
            return
        with self._store.changing() as connection:
            deleted = self._store.delete_older(connection, datetime.now(UTC) - self._retention)
        # Where more is left, the next portion comes after the next group, or at once if none waits.
        if deleted < self._portion:
            self._prune_at = time.monotonic() + _PRUNE_EVERY_S

    def _lose(self, orders: list[Order]) -> None:
        rows = sum(len(order.rows) for order in orders)
        if rows:
            now = datetime.now(UTC)
            self._widen(Gap(now, now, rows))
            with self._changed:
                self._lost += rows
            call(self._on_lost, rows)
        for order in orders:
            order.settle(False)

    def _widen(self, gap: Gap) -> None:
        with self._changed:
            self._gap = gap if self._gap is None else self._gap.with_(gap)
            self._changed.notify()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while not self._ended and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def _tell_problem(self, error: Exception) -> None:
        if not isinstance(error, AtelierError):
            error = self._store.unusable(error)
        if self._problem is None:
            _logger.warning("%s; predictions go on, and wait to be logged", error)
        self._problem = str(error)
