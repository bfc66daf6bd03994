"""From a run to predictions, with the run's own preprocessing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .data import ImageSplit
from .data.batches import Normalizer
from .data.image_files import read_in_batches
from .data.images import Invert
from .devices import keep_freed_memory, resolve_device
from .errors import ImageError
from .models import Classifier
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


class InSlices(Protocol):
    """Images that are read slice by slice."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice, /) -> npt.NDArray[np.uint8]: ...


class Outputs(NamedTuple):
    """What a network says about N images.

    Attributes:
        logits: (N, K) float32.
        embedding: (N, D) float32, what the head sees; like the logits the mean over the views that
            the run judges by.
    """

    logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


class PixelClassifier(nn.Module):
    """All that a run makes of decoded pixels: normalization, its network, and the mean over the
    mirrored and shifted views where the run judges by them.

    Both `Predictor` and the graph of an export are made of it, and so are the same arithmetic.
    The views go through the network as one batch.

    Args:
        model: maps normalized images to logits.
        card: normalization, background and views.
    """

    def __init__(self, model: nn.Module, card: ModelCard) -> None:
        super().__init__()
        self.model = model
        self.normalize = Normalizer(card.mean, card.std, torch.device("cpu"))
        self.mirrored, self.shifted = card.mirror_average, card.shift_average
        self.background = card.background
        weights = [0.5, 0.25, 0.25] if self.shifted else [1.0]
        if self.mirrored:
            weights = [weight / 2 for weight in weights for _ in range(2)]
        self.num_views = len(weights)
        self.weights: Tensor
        self.register_buffer("weights", torch.tensor(weights).view(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) uint8 to (N, K) logits."""
        if isinstance(self.model, Classifier):
            return self.outputs(pixels)[0]
        return self.mean(self.model(self.views(pixels)))

    def outputs(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) uint8 to (N, K) logits and the (N, D) embeddings that the head makes them
        of. Where the head is linear, these logits are the mean of those of the views."""
        if not isinstance(self.model, Classifier):
            raise TypeError(f"{type(self.model).__name__} has no embedding")
        embedding = self.mean(self.model.features(self.views(pixels)))
        return self.model.head(embedding), embedding

    def views(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) uint8 to (V * N, C, H, W) normalized floats: all images in each view."""
        views = [pixels]
        if self.shifted:
            padded = F.pad(pixels, (1, 1, 1, 1), value=self.background)
            height, width = pixels.shape[-2:]
            views += [padded[:, :, at : at + height, at : at + width] for at in (0, 2)]
        if self.mirrored:
            views = [view for upright in views for view in (upright, upright.flip(-1))]
        floats: Tensor = self.normalize(torch.cat(views) if len(views) > 1 else pixels)
        return floats

    def mean(self, outputs: Tensor) -> Tensor:
        """(V * N, D), in the order of `views`, to (N, D)."""
        if self.num_views == 1:
            return outputs
        by_view = outputs.reshape(self.num_views, -1, outputs.shape[-1])
        return (by_view * self.weights).sum(dim=0)


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
        self.model = model
        self.card = card
        self.pixels = PixelClassifier(model, card).to(self.device).eval()
        self.normalize = self.pixels.normalize

    @classmethod
    def of_run(cls, run: Run, *, device: str = "auto") -> Predictor:
        """The predictor of a run's kept weights."""
        return cls(run.model(), run.card, device=device)

    @torch.inference_mode()
    def logits(
        self, images: npt.NDArray[np.uint8], batch_size: int | None = None
    ) -> npt.NDArray[np.float32]:
        """(N, K) logits of (N, C, H, W) bytes; None is a batch that fits any memory."""
        parts = [self.pixels(batch).float().cpu() for _, batch in self._batches(images, batch_size)]
        if not parts:
            return np.empty((0, len(self.card.classes)), np.float32)
        result: npt.NDArray[np.float32] = torch.cat(parts).numpy()
        return result

    @torch.inference_mode()
    def outputs(
        self,
        images: npt.NDArray[np.uint8] | InSlices,
        *,
        on_done: Callable[[int], None] | None = None,
    ) -> Outputs:
        """Logits and embeddings of (N, C, H, W) bytes.

        Args:
            images: N of them, at least one.
            on_done: told after each batch how many are done.
        """
        logits, embeddings = [], []
        for end, batch in self._batches(images):
            of_batch, embedding = self.pixels.outputs(batch)
            logits.append(of_batch.float().cpu())
            embeddings.append(embedding.float().cpu())
            if on_done is not None:
                on_done(end)
        return Outputs(torch.cat(logits).numpy(), torch.cat(embeddings).numpy())

    def _batches(
        self, images: npt.NDArray[np.uint8] | InSlices, batch_size: int | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """The images on the device, in batches, each with the position of its end."""
        batch_size = batch_size or self._batch_size
        for start in range(0, len(images), batch_size):
            # A copy: torch wants to own writable memory, and the data may be a read-only map.
            batch = torch.from_numpy(np.array(images[start : start + batch_size]))
            yield start + len(batch), batch.to(self.device)

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
        for batch in read_in_batches(
            paths,
            image_shape=self.card.image_shape,
            batch_size=self._batch_size,
            invert=invert,
            on_bad=on_bad,
        ):
            logits = self.logits(np.stack([image.pixels for _, image in batch]))
            for (path, image), row in zip(batch, logits, strict=True):
                yield FileLogits(path, row, image.inverted)

    @property
    def _batch_size(self) -> int:
        """Images whose views together are a batch that fits any memory."""
        channels, height, width = self.card.image_shape
        fitting = min(_BATCH_SIZE, _BATCH_BYTES // (channels * height * width))
        return max(1, fitting // self.pixels.num_views)
