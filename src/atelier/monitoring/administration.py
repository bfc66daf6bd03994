"""What is done to a prediction log by hand, also while a service writes it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..extras import require
from ..progress import progress_bar

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from .store import Store


def prune_log(log: str, days: float, *, progress: bool = False) -> int:
    """Delete what is older than so many days, in portions that hold no writer up.

    Args:
        log: the address of the prediction log, or its file.
        days: how long a prediction is kept; 0 deletes all.
        progress: show a bar on standard error.

    Returns:
        The number of predictions that were deleted.

    Raises:
        LogError: the log cannot be used.
        ConfigError: a negative number of days.
        ExtraError: a library is not installed.
    """
    if not days >= 0:
        raise ConfigError("a log keeps something or nothing", got=days, allowed="0 or more days")
    store = _opened(log)
    before = datetime.now(UTC) - timedelta(days=days)
    deleted = 0
    try:
        total = _do(store, lambda connection: store.count_older(connection, before))
        with progress_bar("prune", total, show=progress) as bar:
            while portion := _do(store, lambda c: store.delete_older(c, before)):
                deleted += portion
                bar.update(deleted, f"{deleted:,} of {total:,} predictions")
        if deleted:
            store.forget()
    finally:
        store.close()
    return deleted


def delete_request(log: str, request_id: str) -> int:
    """Delete everything of a request.

    Args:
        log: the address of the prediction log, or its file.
        request_id: as the service has answered it.

    Returns:
        The number of predictions that were deleted.

    Raises:
        LogError: the log cannot be used.
        ExtraError: a library is not installed.
    """
    store = _opened(log)
    try:
        deleted = _do(store, lambda connection: store.delete(connection, request_id))
        store.forget()
    finally:
        store.close()
    return deleted


def _opened(log: str) -> Store:
    require("sqlalchemy", extra="monitor")
    from .store import Store

    store = Store(log)
    with store.reading():  # there is a log, and of this version
        return store


def _do(store: Store, work: Callable[[Connection], int]) -> int:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with store.changing() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        raise store.unusable(error) from error
