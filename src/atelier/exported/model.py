"""An exported file that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..cores import usable_cores
from ..data.images import Invert, LoadedImage, read_images
from ..errors import ExportError, ImageError
from ..extras import require
from .card import ExportCard
from .seal import Sealed, read_sealed

_BATCH_SIZE = 256
_BATCH_BYTES = 4 * 2**20  # of pixels; what a network makes of them is a few hundred times as much
_SILENT = 4  # ONNX Runtime's level of fatal errors: what it refuses it raises, too
_OUTPUTS = ("logits", "probs", "embedding")

_Floats = npt.NDArray[np.float32]
_Engine = Callable[[npt.NDArray[np.uint8]], tuple[_Floats, _Floats, _Floats]]


class Answers(NamedTuple):
    """What a model says about N images of K classes.

    Attributes:
        logits: (N, K) float32, before temperature and softmax.
        probs: (N, K) float32, calibrated where the card says so.
        embedding: (N, D) float32, what enters the network's last layer; where a run judges an image
            with its mirrored and shifted copies, the mean over them, as of the logits.
    """

    logits: _Floats
    probs: _Floats
    embedding: _Floats


class ExportedModel:
    """A model in one file, run by ONNX Runtime, or by torch if it is a torch program.

    The file is checked before any runtime sees it, and the very bytes that were checked are loaded.

    Args:
        path: of a file that `atelier.export` has made.
        threads: of one answer's arithmetic; None is one for each core that this process may use.
            Of a torch program they are those of torch in the whole process, and None leaves them.

    Attributes:
        path: of the file.
        card: what it says of itself.
        format: ``onnx`` or ``torch``.
        version: the first 12 hexadecimal digits of the file's SHA-256.

    Raises:
        ExportError: missing, not an export, changed since, or refused by the runtime.
        ExtraError: the runtime is not installed.
        StorageError: the file cannot be read.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise ExportError("a model needs a thread to run", got=threads, allowed="1 or more")
        self.path = Path(path)
        sealed = read_sealed(self.path)
        self.card = sealed.card
        self.format = sealed.format
        self.version = sealed.sha256[:12]
        start = _start_onnx if sealed.format == "onnx" else _start_torch
        self._engine = start(self.path, sealed, threads)

    def __repr__(self) -> str:
        card = self.card
        return f"ExportedModel({str(self.path)!r}, {card.name}, {card.precision}, {self.version})"

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the logits."""
        return self.card.classes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.card.image_shape

    @property
    def threshold(self) -> float:
        """The least probability of an answer that is not "unknown"; 0 answers always."""
        return self.card.threshold

    @property
    def batch_size(self) -> int:
        """Of what is computed at once, so that memory does not grow with the number of images."""
        channels, height, width = self.image_shape
        fitting = min(_BATCH_SIZE, _BATCH_BYTES // (channels * height * width))
        return max(1, fitting // self.card.views)

    def answer(self, images: npt.NDArray[np.uint8]) -> Answers:
        """Judge decoded images. Threads may call it at the same time.

        Args:
            images: (N, C, H, W) uint8 of the shape that the card says; N may be 0.

        Raises:
            ValueError: images of another shape or type.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.image_shape:
            raise ValueError(
                f"images must be (N, {', '.join(map(str, self.image_shape))}) uint8, "
                f"not {images.shape} {images.dtype}"
            )
        size = self.batch_size
        if 0 < len(images) <= size:
            return Answers(*self._engine(np.ascontiguousarray(images)))
        parts = [
            self._engine(np.ascontiguousarray(images[start : start + size]))
            for start in range(0, len(images), size)
        ]
        k, d = len(self.classes), self.card.embedding_size
        empty = [np.empty((0, width), np.float32) for width in (k, k, d)]
        return Answers(*map(np.concatenate, zip(empty, *parts, strict=True)))

    def read(self, source: str | Path | bytes, *, invert: Invert = "auto") -> LoadedImage:
        """Read one image file into the shape of this model, as `read_image` does.

        Raises:
            ImageError: missing, not an image, damaged or too large.
        """
        (image,) = self.read_all([source], invert=invert)
        if isinstance(image, ImageError):
            raise image
        return image

    def read_all(
        self, sources: Sequence[str | Path | bytes], *, invert: Invert = "auto"
    ) -> list[LoadedImage | ImageError]:
        """Read many image files into the shape of this model, as `read_images` does."""
        channels, height, width = self.image_shape
        return read_images(sources, channels=channels, image_size=(height, width), invert=invert)


def load_export(path: str | Path, *, threads: int | None = None) -> ExportedModel:
    """Load a file that `atelier.export` has made, as ONNX or as a torch program.

    Args:
        path: of the file.
        threads: of one answer's arithmetic; None is one for each core that this process may use.

    Raises:
        ExportError: missing, not an export, changed since, or refused by the runtime.
        ExtraError: the runtime is not installed.
        StorageError: the file cannot be read.
    """
    return ExportedModel(path, threads=threads)


def _start_onnx(path: Path, sealed: Sealed, threads: int | None) -> _Engine:
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or len(usable_cores())
    options.inter_op_num_threads = 1
    # Threads that spin while they wait are fast on an idle machine, and take the cores from whoever
    # decodes the next images on a busy one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _SILENT
    try:
        # From memory it loads no weights from other files either.
        session = runtime.InferenceSession(sealed.data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # Its classes of errors lie in private modules.
        raise ExportError(f"ONNX Runtime refuses {path}: {error}") from error
    _check_places(path, sealed.card, session)
    (source,) = session.get_inputs()

    def engine(images: npt.NDArray[np.uint8]) -> tuple[_Floats, _Floats, _Floats]:
        logits, probs, embedding = session.run(_OUTPUTS, {source.name: images})
        return logits, probs, embedding

    return engine


def _check_places(path: Path, card: ExportCard, session: Any) -> None:
    """Refuse a graph that takes or gives something else than its card says."""
    k = len(card.classes)
    expected = [
        ("tensor(uint8)", [*card.image_shape]),
        *(("tensor(float)", [width]) for width in (k, k, card.embedding_size)),
    ]
    outputs = {place.name: place for place in session.get_outputs()}
    places = [*session.get_inputs(), *(outputs[name] for name in _OUTPUTS if name in outputs)]
    found = [(place.type, list(place.shape[1:])) for place in places]
    if found != expected or len(session.get_inputs()) != 1:
        raise ExportError(
            f"the graph in {path} is not of the shape that its card says",
            got="; ".join(f"{kind} {shape}" for kind, shape in found),
            allowed="; ".join(f"{kind} {shape}" for kind, shape in expected),
        )


def _start_torch(path: Path, sealed: Sealed, threads: int | None) -> _Engine:
    from .program import start_program

    return start_program(path, sealed, threads)
