"""From a run to predictions, with the run's own preprocessing."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .data import ImageSplit, LoadedImage, read_image
from .data.batches import Normalizer
from .data.geometry import pad_images
from .data.images import Invert
from .devices import keep_freed_memory, resolve_device
from .errors import ImageError
from .predictions import Predictions
from .runs import ModelCard, Run

_BATCH_SIZE = 256
_BATCH_BYTES = 4 * 2**20  # of pixels; what a network makes of them is a few hundred times as much


class FileLogits(NamedTuple):
    """What the model says about one file.

    Attributes:
        path: of the image.
        logits: (K,) float32.
        inverted: whether light and dark were swapped, for the model knows a dark background.
    """

    path: str
    logits: npt.NDArray[np.float32]
    inverted: bool


class Predictor:
    """A network with its normalization on a device.

    Args:
        model: maps normalized images to logits.
        card: classes, image shape and normalization.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: this machine has no such device.
    """

    def __init__(self, model: nn.Module, card: ModelCard, *, device: str = "auto") -> None:
        self.device = resolve_device(device)
        keep_freed_memory()
        self.model = model.to(self.device).eval()
        self.card = card
        self.normalize = Normalizer(card.mean, card.std, self.device)
        self.fill = self.normalize.byte(card.background)

    @classmethod
    def of_run(cls, run: Run, *, device: str = "auto") -> Predictor:
        """The predictor of a run's kept weights."""
        return cls(run.model(), run.card, device=device)

    @torch.inference_mode()
    def logits(
        self, images: npt.NDArray[np.uint8], batch_size: int | None = None
    ) -> npt.NDArray[np.float32]:
        """(N, K) logits of (N, C, H, W) bytes; None is a batch that fits any memory."""
        batch_size = batch_size or self._batch_size
        parts = []
        for start in range(0, len(images), batch_size):
            # A copy: torch wants to own writable memory, and the data may be a read-only map.
            batch = torch.from_numpy(np.array(images[start : start + batch_size]))
            parts.append(self._forward(self.normalize(batch.to(self.device))).float().cpu())
        if not parts:
            return np.empty((0, len(self.card.classes)), np.float32)
        result: npt.NDArray[np.float32] = torch.cat(parts).numpy()
        return result

    def _forward(self, images: Tensor) -> Tensor:
        logits = self._mirror_averaged(images)
        if self.card.shift_average:
            padded = pad_images(images, 1, self.fill)
            height, width = images.shape[-2:]
            for corner in (0, 2):
                shifted = padded[:, :, corner : corner + height, corner : corner + width]
                logits = logits + self._mirror_averaged(shifted) / 2
            logits = logits / 2
        return logits

    def _mirror_averaged(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        if self.card.mirror_average:
            logits = (logits + self.model(images.flip(-1))) / 2
        return logits

    def predict_split(self, split: ImageSplit) -> Predictions:
        """Predictions for labeled images."""
        return Predictions(split.ids, split.labels, self.logits(split.images), self.card.classes)

    def of_files(
        self,
        paths: Sequence[str | Path],
        *,
        invert: Invert = "auto",
        on_bad: Callable[[str, ImageError], None] | None = None,
    ) -> Iterator[FileLogits]:
        """The logits of image files of any size and mode, in their order.

        Files are read by several threads, a batch ahead of the network: memory does not grow with
        their number.

        Args:
            paths: of the files.
            invert: as of `read_image`.
            on_bad: told of each file that cannot be read, which is then left out.

        Raises:
            ImageError: without `on_bad`, the first file that is missing, not an image, damaged or
                too large.
        """
        channels, height, width = self.card.image_shape
        left = iter(map(str, paths))
        pool = ThreadPoolExecutor(_cores(), "images")

        def read(path: str) -> LoadedImage:
            return read_image(path, channels=channels, image_size=(height, width), invert=invert)

        def read_ahead() -> list[tuple[str, Future[LoadedImage]]]:
            some = itertools.islice(left, self._batch_size)
            return [(path, pool.submit(read, path)) for path in some]

        # Around all threads: each would put back what another has just changed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                coming = read_ahead()
                while coming:
                    batch, coming = coming, read_ahead()
                    loaded: list[tuple[str, LoadedImage]] = []
                    for path, future in batch:
                        try:
                            loaded.append((path, future.result()))
                        except ImageError as error:
                            if on_bad is None:
                                raise
                            on_bad(path, error)
                    if not loaded:
                        continue
                    logits = self.logits(np.stack([image.pixels for _, image in loaded]))
                    for (path, image), row in zip(loaded, logits, strict=True):
                        yield FileLogits(path, row, image.inverted)
            finally:
                pool.shutdown(cancel_futures=True)

    @property
    def _batch_size(self) -> int:
        channels, height, width = self.card.image_shape
        return max(1, min(_BATCH_SIZE, _BATCH_BYTES // (channels * height * width)))


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # on other systems than Linux
        return os.cpu_count() or 1
