"""What the log keeps of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..exported import Answers
from .facts import image_facts


@dataclass(frozen=True, slots=True)
class LoggedPrediction:
    """One image of one request.

    Request, position and time together tell a row from any other: the same row given twice is
    kept once, and two requests to which a client gave the same id are kept both.

    Attributes:
        request_id: of the request.
        image_index: the image's position in it, from 0.
        time: when it was answered, in UTC.
        model: by what name it was asked for.
        version: of the model.
        client: the name of the key that was used, or nothing.
        predicted: the likeliest class.
        confidence: its calibrated probability.
        unknown: whether the answer was "unknown".
        probs: K calibrated probabilities, in the order of the model's classes.
        embedding: D values as little-endian float16, or None where they are not kept.
        image_stats: how the image looks, in the order of `facts.NAMES`.
        thumbnail: 64 gray bytes, a grid of 8 x 8, or None where they are not kept.
        latency_ms: from the request's arrival to the answer.
        image_sha256: of the bytes that the client sent, hex.
    """

    request_id: str
    image_index: int
    time: datetime
    model: str
    version: str
    client: str
    predicted: str
    confidence: float
    unknown: bool
    probs: Sequence[float]
    embedding: bytes | None
    image_stats: Sequence[float]
    thumbnail: bytes | None
    latency_ms: float
    image_sha256: str


@dataclass(frozen=True)
class Gap:
    """Rows that a writer of the log has lost.

    Attributes:
        since: when the first was lost, in UTC.
        until: when the last was.
        lost: how many.
    """

    since: datetime
    until: datetime
    lost: int

    def with_(self, other: Gap) -> Gap:
        """Both as one."""
        return Gap(
            min(self.since, other.since), max(self.until, other.until), self.lost + other.lost
        )


class Asked(NamedTuple):
    """Whose image was answered.

    Attributes:
        request_id: of the request.
        image_index: the image's position in it, from 0.
        client: the name of the key that was used.
        image_sha256: of the bytes that the client sent, hex, where it was taken.
        latency_ms: from the request's arrival to the answer.
    """

    request_id: str
    image_index: int = 0
    client: str = ""
    image_sha256: str = ""
    latency_ms: float = 0.0


def logged_predictions(
    asked: Sequence[Asked],
    images: npt.NDArray[np.uint8],
    answers: Answers,
    *,
    model: str,
    version: str,
    classes: Sequence[str],
    threshold: float = 0.0,
    time: datetime | None = None,
    embeddings: bool = True,
    thumbnails: bool = True,
) -> list[LoggedPrediction]:
    """The rows of a batch, of however many requests: arithmetic on whole arrays, some microseconds
    for an image.

    Args:
        asked: N, whose images these are.
        images: (N, C, H, W), as the model was given them.
        answers: of the model to them.
        model: by what name it was asked for.
        version: of the model.
        classes: K names, in the order of the probabilities.
        threshold: below which confidence the answer was "unknown".
        time: when they were answered; None is now.
        embeddings: keep them: without, drift of what the model sees cannot be tested.
        thumbnails: keep the grids of 8 x 8 gray values: without, drift of the pictures is tested by
            their few other statistics alone.
    """
    best = answers.probs.argmax(axis=1).tolist()
    facts = image_facts(images)
    vectors = answers.embedding.astype("<f2") if embeddings else None
    time = time or datetime.now(UTC)
    shares, stats = answers.probs.tolist(), facts.stats.tolist()
    return [
        LoggedPrediction(
            request_id=one.request_id,
            image_index=one.image_index,
            time=time,
            model=model,
            version=version,
            client=one.client,
            predicted=classes[best[row]],
            confidence=shares[row][best[row]],
            unknown=shares[row][best[row]] < threshold,
            probs=shares[row],
            embedding=None if vectors is None else vectors[row].tobytes(),
            image_stats=stats[row],
            thumbnail=facts.thumbnails[row].tobytes() if thumbnails else None,
            latency_ms=one.latency_ms,
            image_sha256=one.image_sha256,
        )
        for row, one in enumerate(asked)
    ]
