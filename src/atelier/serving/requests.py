"""A request on its way through the service, and what is answered to it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..data.images import LoadedImage
from .problems import Problem
from .registry import ServedModel


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """What is said of one image.

    Attributes:
        ranked: classes with their calibrated probabilities, the likeliest first.
        unknown: whether the likeliest class is too unlikely for an answer.
        inverted: whether light and dark were swapped, for the model knows a dark background.
        embedding: (D,) float32, where it was asked for.
    """

    ranked: tuple[tuple[str, float], ...]
    unknown: bool
    inverted: bool
    embedding: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said of a request.

    Attributes:
        request_id: of the request.
        model: the name of the model that has answered.
        version: of that model.
        images: an answer for each image, or what is wrong with it.
        logged: whether every answer stands in the log, so that not even a crash loses it.
    """

    request_id: str
    model: str
    version: str
    images: tuple[ImageAnswer | Problem, ...]
    logged: bool


@dataclass(eq=False, slots=True)
class Request:
    """A request that was admitted. All fields but the first eight belong to the event loop.

    Attributes:
        model: the version that answers it, whatever is loaded meanwhile.
        count: of its images.
        request_id: of the request.
        client: who asks: a key's name, or nothing.
        top_k: how many classes of each image are answered.
        embed: whether embeddings are answered.
        log: whether it is to be logged.
        arrived: when, on the monotonic clock.
        answers: by the place of the image.
        left: images that are not settled yet.
        logged: images whose answers stand in the log.
        started: when a worker took the first of its images; None while none has.
        over: whether nobody waits for it any more.
        done: gets the outcome.
    """

    model: ServedModel
    count: int
    request_id: str
    client: str
    top_k: int
    embed: bool
    log: bool
    arrived: float = field(default_factory=time.monotonic)
    answers: list[ImageAnswer | Problem | None] = field(init=False)
    left: int = field(init=False)
    logged: int = 0
    started: float | None = None
    over: bool = False
    done: asyncio.Future[Outcome] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def __post_init__(self) -> None:
        self.left = self.count
        self.answers = [None] * self.count

    def settle(self, index: int, answer: ImageAnswer | Problem, *, logged: bool = False) -> None:
        """Put down what is said of one image; after the last the outcome is known."""
        self.answers[index] = answer
        self.logged += logged
        self.left -= 1
        if self.left or self.done.done():
            return
        images = tuple(answer for answer in self.answers if answer is not None)
        told = sum(isinstance(answer, ImageAnswer) for answer in images)
        model = self.model
        complete = 0 < told == self.logged
        self.done.set_result(
            Outcome(self.request_id, model.name, model.version, images, logged=complete)
        )

    def fail(self, problem: Exception) -> None:
        """Nothing of it will be answered."""
        self.over = True
        if not self.done.done():
            self.done.set_exception(problem)


@dataclass(eq=False, slots=True)
class Image:
    """One image of a request: the bytes that were sent, or what was decoded of them.

    Attributes:
        request: that it belongs to.
        index: its place there, from 0.
        data: the bytes of its file.
        loaded: its pixels, if it has been decoded already.
    """

    request: Request
    index: int
    data: bytes
    loaded: LoadedImage | None = None

    @property
    def model(self) -> ServedModel:
        """The version that will answer it."""
        return self.request.model

    @property
    def over(self) -> bool:
        """Whether nobody waits for its answer any more."""
        return self.request.over

    def begin(self) -> None:
        """A worker has it now."""
        if self.request.started is None:
            self.request.started = time.monotonic()
