"""What the prediction log tells of a stretch of time, as arrays beside those of a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ..errors import LogError, did_you_mean
from .facts import NAMES
from .reference import Reference
from .schema import feedback, gaps, predictions
from .store import Store

MOST_PREDICTIONS = 20_000
FEWEST_PREDICTIONS = 50


@dataclass(frozen=True, eq=False)
class Traffic:
    """N logged predictions of one version of one model, in the order of time.

    Attributes:
        model: by what name it was asked for.
        version: of the model.
        times: (N,) seconds since 1970, UTC.
        predicted: (N,) int64, places in the reference's classes.
        confidence: (N,) float32.
        unknown: (N,) bool.
        embedding: (N, D) float16; None where some were not kept, or are of another width.
        stats: (N, 8) float32.
        thumbnails: (N, 64) uint8; None where some were not kept.
        labels: (N,) int64, the class that a user has named; -1 where none has.
        lost: how many rows the log says are missing in this time.
        notes: what a reader must know of how they were chosen.
    """

    model: str
    version: str
    times: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]
    unknown: npt.NDArray[np.bool_]
    embedding: npt.NDArray[np.float16] | None
    stats: npt.NDArray[np.float32]
    thumbnails: npt.NDArray[np.uint8] | None
    labels: npt.NDArray[np.int64]
    lost: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.predicted)


def read_traffic(
    store: Store,
    reference: Reference,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str | None = None,
    version: str | None = None,
) -> Traffic:
    """The newest 20,000 predictions of a stretch of time, each file once.

    Args:
        store: where the log is.
        reference: whose classes the answers must have.
        since: from this moment on.
        until: before this moment.
        model: the name; None is the only one there is.
        version: None is that of the reference, or else the newest.

    Raises:
        LogError: the log cannot be read, has no such model, too few predictions, or predictions of
            other classes than the reference's.
    """
    within = []
    if since is not None:
        within.append(predictions.c.time >= since)
    if until is not None:
        within.append(predictions.c.time < until)
    with store.reading() as connection:
        model, version, notes = _chosen(connection, within, model, version, reference)
        rows = connection.execute(
            sa.select(predictions, feedback.c.label)
            .outerjoin(
                feedback,
                (predictions.c.request_id == feedback.c.request_id)
                & (predictions.c.image_index == feedback.c.image_index),
            )
            .where(*within, predictions.c.model == model, predictions.c.version == version)
            .order_by(predictions.c.time.desc())
            .limit(MOST_PREDICTIONS + 1)
        ).all()
        lost = _lost(connection, since, until)
    if len(rows) > MOST_PREDICTIONS:
        rows = rows[:MOST_PREDICTIONS]
        notes.append(f"There are more predictions: these are the newest {MOST_PREDICTIONS:,}.")
    once = _each_file_once(rows)
    if len(once) < len(rows):
        notes.append(
            f"{len(rows) - len(once):,} of {len(rows):,} predictions were of a file that had been "
            "sent before, and were left out: the tests need images that are independent."
        )
    if len(once) < FEWEST_PREDICTIONS:
        raise LogError(
            f"too few predictions of {model} to tell drift from chance",
            got=len(once),
            allowed=f"{FEWEST_PREDICTIONS} or more, of different files",
            fix="Wait for more, or widen --since and --until",
        )
    once.reverse()
    return _arrays(once, reference, model, version, lost, notes)


def _chosen(
    connection: Connection,
    within: list[Any],
    model: str | None,
    version: str | None,
    reference: Reference,
) -> tuple[str, str, list[str]]:
    """The model and the version that are meant, and what else there is."""
    found = connection.execute(
        sa.select(
            predictions.c.model,
            predictions.c.version,
            sa.func.count().label("n"),
            sa.func.max(predictions.c.time).label("last"),
        )
        .where(*within)
        .group_by(predictions.c.model, predictions.c.version)
    ).all()
    if not found:
        raise LogError(
            "there are no predictions in this stretch of time", fix="Widen --since and --until"
        )
    models = sorted({row.model for row in found})
    if model is None:
        if len(models) > 1:
            raise LogError(
                "the log has predictions of several models", allowed=models, fix="Name --model"
            )
        (model,) = models
    versions = {row.version: row for row in found if row.model == model}
    if not versions:
        raise LogError(f"the log has no model {model!r}", fix=did_you_mean(model, models))
    if version is None:
        newest = max(versions.values(), key=lambda row: row.last).version
        version = reference.version if reference.version in versions else str(newest)
    if version not in versions:
        raise LogError(
            f"the log has no such version of {model}", got=version, allowed=sorted(versions)
        )
    notes = []
    others = sum(row.n for name, row in versions.items() if name != version)
    if others:
        notes.append(
            f"{others:,} predictions of other versions of {model} were left out: "
            f"this is version {version}."
        )
    if reference.version and reference.version != version:
        notes.append(
            f"The reference is of version {reference.version}, the predictions are of {version}: "
            "what differs between the two looks like drift."
        )
    return model, version, notes


def _lost(connection: Connection, since: datetime | None, until: datetime | None) -> int:
    within = []
    if since is not None:
        within.append(gaps.c.until >= since)
    if until is not None:
        within.append(gaps.c.since < until)
    return int(connection.scalar(sa.select(sa.func.sum(gaps.c.lost)).where(*within)) or 0)


def _each_file_once(rows: Sequence[Any]) -> list[Any]:
    seen: set[str] = set()
    result = []
    for row in rows:
        if row.image_sha256 and row.image_sha256 in seen:
            continue
        seen.add(row.image_sha256)
        result.append(row)
    return result


def _arrays(
    rows: list[Any],
    reference: Reference,
    model: str,
    version: str,
    lost: int,
    notes: list[str],
) -> Traffic:
    place = {name: k for k, name in enumerate(reference.classes)}
    strange = Counter(row.predicted for row in rows if row.predicted not in place)
    k = len(reference.classes)
    if strange or any(len(row.probs) != 4 * k for row in rows):
        name = next(iter(strange), None)
        raise LogError(
            f"the predictions of {model} have other classes than the reference of {reference.name}"
            + (f", as {name!r}" if name else ""),
            fix="Name the reference of the model that answered",
        )
    named = [row.label for row in rows if row.label is not None and row.label not in place]
    if named:
        notes.append(
            f"{len(named):,} users named a class that the model does not know, as {named[0]!r}: "
            "each of these answers counts as wrong."
        )
    labels = [-1 if row.label is None else place.get(row.label, k) for row in rows]
    return Traffic(
        model=model,
        version=version,
        times=np.array([row.time.timestamp() for row in rows]),
        predicted=np.array([place[row.predicted] for row in rows], np.int64),
        confidence=np.array([row.confidence for row in rows], np.float32),
        unknown=np.array([row.unknown for row in rows], bool),
        embedding=_vectors([row.embedding for row in rows], "<f2", reference.embedding.shape[1]),
        stats=_stats([row.image_stats for row in rows]),
        thumbnails=_vectors([row.thumbnail for row in rows], "u1", 64),
        labels=np.array(labels, np.int64),
        lost=lost,
        notes=tuple(notes),
    )


def _vectors(values: list[bytes | None], kind: str, width: int) -> npt.NDArray[Any] | None:
    size = width * np.dtype(kind).itemsize
    if any(value is None or len(value) != size for value in values):
        return None
    return np.frombuffer(b"".join(v for v in values if v is not None), kind).reshape(-1, width)


def _stats(values: list[bytes]) -> npt.NDArray[np.float32]:
    found = _vectors(list(values), "<f4", len(NAMES))
    if found is None:
        raise LogError("the log keeps other statistics of images than this version of atelier")
    result: npt.NDArray[np.float32] = found.astype(np.float32)
    return result
