"""What a worker does with a batch: decode, ask the model, rank, and give it to the log."""

from __future__ import annotations

import hashlib
import struct
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.images import LoadedImage
from ..errors import ImageError
from ..exported import Answers
from .limits import Limits
from .problems import Problem
from .registry import ServedModel
from .requests import Image, ImageAnswer
from .uploads import check_image

if TYPE_CHECKING:
    from ..monitoring.log import PredictionLog
    from ..monitoring.rows import Asked

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER_BYTES = 33
_SMALL_BYTES, _SMALL_PIXELS = 2**15, 2**14


@dataclass(slots=True)
class BatchAnswers:
    """What came of a batch.

    Attributes:
        answers: of its images, in their order.
        decode_s: seconds that decoding took.
        model_s: seconds that the model took.
        logged: done with true once every answer that is to be logged is committed; None where
            there is nothing to log.
    """

    answers: list[ImageAnswer | Problem] = field(default_factory=list)
    decode_s: float = 0.0
    model_s: float = 0.0
    logged: Future[bool] | None = None


class Computation:
    """Answers batches; workers call it at the same time.

    Args:
        limits: of an image.
        log: where answers are put down; None keeps none.
        embeddings: whether the log keeps embeddings.
    """

    def __init__(
        self, limits: Limits, log: PredictionLog | None, *, embeddings: bool = True
    ) -> None:
        self._limits, self._log, self._embeddings = limits, log, embeddings
        # Small images are decoded in the interpreter for the most part. Two workers that do it at
        # once hand its lock to and fro, and take twice as long as one after the other; meanwhile
        # the other one may ask the model, which needs no interpreter.
        self._decoding = threading.Lock()

    def __call__(self, model: ServedModel, batch: Sequence[Image]) -> BatchAnswers:
        """Answer images, of which some may turn out to be none."""
        result = BatchAnswers()
        with self._decoding:
            start = time.perf_counter()
            unread = [image.data for image in batch if image.loaded is None]
            found = iter(read_all(model, unread, self._limits))
            loaded = [image.loaded or next(found) for image in batch]
        good = [at for at, image in enumerate(loaded) if isinstance(image, LoadedImage)]
        decoded = time.perf_counter()
        result.decode_s = decoded - start
        ranked: list[ImageAnswer] = []
        if good:
            pixels = np.stack([image.pixels for image in loaded if isinstance(image, LoadedImage)])
            answers = model.model.answer(pixels)
            result.model_s = time.perf_counter() - decoded
            images = [batch[at] for at in good]
            inverted = [image.inverted for image in loaded if isinstance(image, LoadedImage)]
            ranked = _ranked(model, images, answers, inverted)
            result.logged = self._record(model, images, pixels, answers)
        told = iter(ranked)
        result.answers = [image if isinstance(image, Problem) else next(told) for image in loaded]
        return result

    def _record(
        self,
        model: ServedModel,
        images: Sequence[Image],
        pixels: npt.NDArray[np.uint8],
        answers: Answers,
    ) -> Future[bool] | None:
        if self._log is None:
            return None
        wanted = [at for at, image in enumerate(images) if image.request.log]
        if not wanted:
            return None
        from ..monitoring.rows import logged_predictions

        now = time.monotonic()
        return self._log.record(
            logged_predictions(
                [_asked(images[at], now) for at in wanted],
                pixels[wanted],
                Answers(*(part[wanted] for part in answers)),
                model=model.name,
                version=model.version,
                classes=model.model.classes,
                threshold=model.model.threshold,
                embeddings=self._embeddings,
            )
        )


def is_small(data: bytes) -> bool:
    """Whether an image file is surely decoded within a fraction of a millisecond."""
    if len(data) > _SMALL_BYTES or not data.startswith(_PNG) or len(data) < _PNG_HEADER_BYTES:
        return False
    width, height = struct.unpack_from(">II", data, 16)
    return bool(width * height <= _SMALL_PIXELS)


def read_all(
    model: ServedModel, files: Sequence[bytes], limits: Limits
) -> list[LoadedImage | Problem]:
    """The pixels of image files for a model, or why one has none."""
    refused = [_refused(data, limits) for data in files]
    allowed = [data for data, problem in zip(files, refused, strict=True) if problem is None]
    images = iter(model.model.read_all(allowed))
    return [problem or _told(next(images)) for problem in refused]


def _refused(data: bytes, limits: Limits) -> Problem | None:
    try:
        check_image(data, limits)
    except Problem as problem:
        return problem
    return None


def _told(image: LoadedImage | ImageError) -> LoadedImage | Problem:
    if isinstance(image, LoadedImage):
        return image
    # The error's text may quote a decoder's, which speaks of the inside.
    return Problem("unreadable-image", "the image is corrupt or cut off")


def _ranked(
    model: ServedModel, images: Sequence[Image], answers: Answers, inverted: Sequence[bool]
) -> list[ImageAnswer]:
    top_k = min(max(image.request.top_k for image in images), len(model.model.classes))
    order = np.argsort(-answers.probs, axis=1, kind="stable")[:, :top_k]
    shares = np.take_along_axis(answers.probs, order, axis=1)
    classes, threshold = model.model.classes, model.model.threshold
    rows = zip(images, order.tolist(), shares.tolist(), inverted, answers.embedding, strict=True)
    return [
        ImageAnswer(
            ranked=tuple(
                (classes[best[at]], values[at]) for at in range(min(image.request.top_k, top_k))
            ),
            unknown=values[0] < threshold,
            inverted=swapped,
            embedding=embedding if image.request.embed else None,
        )
        for image, best, values, swapped, embedding in rows
    ]


def _asked(image: Image, now: float) -> Asked:
    from ..monitoring.rows import Asked

    return Asked(
        image.request.request_id,
        image.index,
        image.request.client,
        hashlib.sha256(image.data).hexdigest(),
        1000 * (now - image.request.arrived),
    )
