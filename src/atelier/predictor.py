"""From a run to predictions, with the run's own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .data import ImageSplit, read_image
from .data.augment import pad_images
from .data.batches import Normalizer
from .devices import keep_freed_memory, resolve_device
from .predictions import Predictions
from .runs import ModelCard, Run

_BATCH_SIZE = 256


@dataclass(frozen=True)
class ImagePrediction:
    """What the model says about one file.

    Attributes:
        path: of the image.
        probs: class name to probability, the likeliest first.
        inverted: whether light and dark were swapped, for the model knows a dark background.
    """

    path: str
    probs: dict[str, float]
    inverted: bool

    @property
    def predicted(self) -> str:
        """The likeliest class."""
        return next(iter(self.probs))


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
        self, images: npt.NDArray[np.uint8], batch_size: int = _BATCH_SIZE
    ) -> npt.NDArray[np.float32]:
        """(N, K) logits of (N, C, H, W) bytes."""
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

    def predict_files(
        self, paths: Sequence[str | Path], *, invert: Literal["auto", "yes", "no"] = "auto"
    ) -> list[ImagePrediction]:
        """Classes and probabilities of image files of any size and mode.

        Raises:
            ImageError: a file is missing, not an image, damaged or too large.
        """
        channels, height, width = self.card.image_shape
        loaded = [
            read_image(path, channels=channels, image_size=(height, width), invert=invert)
            for path in paths
        ]
        if not loaded:
            return []
        pixels = np.stack([image.pixels for image in loaded])
        labels = np.zeros(len(loaded), np.int64)  # unknown; only the probabilities are read
        all_probs = Predictions(labels, labels, self.logits(pixels), self.card.classes).probs
        results = []
        for path, image, probs in zip(paths, loaded, all_probs, strict=True):
            order = probs.argsort()[::-1]
            ranked = {self.card.classes[i]: float(probs[i]) for i in order}
            results.append(ImagePrediction(str(path), ranked, image.inverted))
        return results


def predict(
    run: Run | str | Path,
    images: Sequence[str | Path],
    *,
    invert: Literal["auto", "yes", "no"] = "auto",
    device: str = "auto",
) -> list[ImagePrediction]:
    """Classes and probabilities of image files, by a trained run.

    Args:
        run: a handle or the path of a run folder.
        images: paths of JPEG, PNG, WebP, GIF, BMP or TIFF files of any size and mode.
        invert: swap light and dark: ``auto`` does so for pictures on a light background when the
            model reads grey images, whose garments are light on black.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        RunError: the run folder cannot be used.
        ImageError: a file is missing, not an image, damaged or too large.
        DeviceError: this machine has no such device.
    """
    run = run if isinstance(run, Run) else Run(run)
    return Predictor.of_run(run, device=device).predict_files(images, invert=invert)
