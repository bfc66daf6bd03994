"""The data set as one tensor on the device, and batches sliced out of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import count

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .augment import Augmenter
from .datasets import ImageSplit
from .mixing import Mixed, Mixing
from .pruning import Pruning
from .sampling import balanced_order

_VALUES_AT_ONCE = 2**24  # 64 MiB of floats: 21,000 images of 28 x 28, 100 photos of 224


class Normalizer(nn.Module):
    """Bytes to floats of mean 0 and deviation 1 over the training part.

    Args:
        mean: of each channel, as a share of 255.
        std: of each channel, as a share of 255.
        device: of the images.
    """

    scale: Tensor
    mean: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        super().__init__()
        # A constant channel has no deviation to divide by.
        scale = torch.tensor([1 / (255 * s) if s > 0 else 1 / 255 for s in std])
        self.register_buffer("scale", scale.to(device).view(1, -1, 1, 1))
        means = 255 * torch.tensor(list(mean), device=device)
        self.register_buffer("mean", means.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) bytes to floats, channels last in memory, as CPU convolutions like best."""
        floats = images.to(torch.float32, memory_format=torch.channels_last)
        return floats.sub_(self.mean).mul_(self.scale)

    def byte(self, value: int) -> Tensor:
        """(1, C, 1, 1): what a pixel of this byte becomes in each channel."""
        return (value - self.mean) * self.scale


@dataclass(frozen=True)
class Unlabeled:
    """Images whose labels the training does not see.

    Attributes:
        views: each (M, C, H, W) normalized floats, the same images augmented in several ways.
        positions: (M,) int64, places among the unlabeled images.
    """

    views: tuple[Tensor, ...]
    positions: Tensor


@dataclass(frozen=True)
class Batch:
    """What an objective gets.

    Attributes:
        images: (N, C, H, W) normalized, augmented floats.
        labels: (N,) int64.
        positions: (N,) int64, places in the training set.
        weights: (N,) what each image's loss counts in the mean; None where all count the same.
        mixed: which other image is in each, and how much; None where none is.
        observe: to be told each image's loss, (N,), where something is learned from it.
        views: more of the same images, each (N, C, H, W), augmented in other ways and never mixed.
        unlabeled: others beside them; None where the method asks for none.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    weights: Tensor | None = None
    mixed: Mixed | None = None
    observe: Callable[[Tensor], None] | None = None
    views: tuple[Tensor, ...] = ()
    unlabeled: Unlabeled | None = None


class TrainingBatches:
    """The training images on the device, sliced into shuffled, augmented batches.

    The last incomplete batch of an epoch is left out, for batch norm suffers from small ones;
    the order is new in each epoch, so that every image has its turn.

    Args:
        split: labeled images; on a CPU they are read where they lie, and never written to.
        chosen: (N,) positions in `split` of the images to train on; the batches' positions count
            among them.
        batch_size: images in a batch, at most N.
        normalize: bytes to floats.
        augment: changes batches.
        device: of the training.
        pruning: leaves out images; None takes all.
        mixing: mixes images within a batch; None leaves them apart.
        balanced: whether an epoch takes each class as often as the others, instead of each image
            once. Not together with pruning.
        weights: (N,) float32, what each image counts in the loss; None where all count the same.
        views: augment the same images once more each, for `Batch.views`.
    """

    def __init__(
        self,
        split: ImageSplit,
        chosen: npt.NDArray[np.int64],
        batch_size: int,
        normalize: Normalizer,
        augment: Augmenter,
        device: torch.device,
        pruning: Pruning | None = None,
        *,
        mixing: Mixing | None = None,
        balanced: bool = False,
        weights: npt.NDArray[np.float32] | None = None,
        views: Sequence[Augmenter] = (),
    ) -> None:
        with warnings.catch_warnings():
            # torch warns of memory that it may not write to, and nothing here writes to it. A copy
            # of the map, or of its chosen part, would double the memory that training needs.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            self.images = torch.from_numpy(split.images).to(device)
        self.chosen = torch.from_numpy(chosen).to(device)
        self.labels = torch.from_numpy(split.labels[chosen]).to(device)
        self.batch_size = min(batch_size, len(self.labels))
        self.normalize = normalize
        self.augment = augment
        self.pruning = pruning
        self.mixing = mixing
        self.balanced = balanced
        self.views = tuple(views)
        self.weights = None if weights is None else torch.from_numpy(weights).to(device)
        self._taken = len(self.labels)  # images of the epoch at hand

    def __len__(self) -> int:
        """Batches in the epoch at hand."""
        return self._taken // self.batch_size

    def without_labels(
        self,
        chosen: npt.NDArray[np.int64],
        batch_size: int,
        augment: Augmenter,
        *,
        views: Sequence[Augmenter] = (),
    ) -> TrainingBatches:
        """Batches of other images of the same split, which share its memory, with the label 0 for
        all of them; neither pruned nor mixed.

        Args:
            chosen: (M,) their positions in the split.
            batch_size: images in a batch, at most M.
            augment: changes batches.
            views: augment the same images once more each.
        """
        others = copy(self)
        others.chosen = torch.from_numpy(chosen).to(self.chosen.device)
        others.labels = torch.zeros_like(others.chosen)
        others.batch_size = min(batch_size, len(chosen))
        others.augment, others.views = augment, tuple(views)
        others.pruning = others.mixing = others.weights = None
        others.balanced = False
        others._taken = len(chosen)
        return others

    def state_dict(self) -> dict[str, Tensor]:
        """What one epoch leaves to the next."""
        return {} if self.pruning is None else {"losses": self.pruning.losses}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            KeyError, ValueError: it is of other batches.
        """
        if self.pruning is not None:
            losses = state["losses"]
            if losses.shape != self.pruning.losses.shape:
                raise ValueError(f"losses of {len(losses)} images")
            self.pruning.losses.copy_(losses)

    def some(self, count: int) -> Tensor:
        """(N, C, H, W) normalized images, not augmented, evenly spread over the training part."""
        step = max(1, len(self.chosen) // count)
        images: Tensor = self.normalize(self.images[self.chosen[::step][:count]])
        return images

    @torch.no_grad()
    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1; the same seed gives the same batches."""
        for augment, own in zip((self.augment, *self.views), _seeds(seed), strict=False):
            augment.start_epoch(epoch, own)
        if self.mixing is not None:
            self.mixing.start_epoch(seed)
        generator = torch.Generator().manual_seed(seed)
        if self.balanced:
            order = balanced_order(self.labels, generator)
        else:
            order = torch.randperm(len(self.labels), generator=generator)
        order = order.to(self.labels.device)
        weights = self.weights
        if self.pruning is not None:
            weights = _product(weights, self.pruning.weights(epoch))
            order = self.pruning(order, epoch, generator)
        self._taken = len(order)
        for start, positions, images, views in self._augmented(order):
            mixed = None
            if self.mixing is not None:
                images, mixed = self.mixing(images, epoch - 1 + start / len(order))
            yield Batch(
                images,
                self.labels[positions],
                positions,
                weights=None if weights is None else weights[positions],
                mixed=mixed,
                observe=None if self.pruning is None else partial(self.pruning.observe, positions),
                views=views,
            )

    def _augmented(self, order: Tensor) -> Iterator[tuple[int, Tensor, Tensor, tuple[Tensor, ...]]]:
        """Where each batch starts in `order`, its positions, its images and their further views."""
        size = self.batch_size
        several = size * self._batches_at_once
        end = len(self) * size
        for first in range(0, end, several):
            together = order[first : min(first + several, end)]
            plain = self.normalize(self.images[self.chosen[together]])
            augmented = [augment(plain, together) for augment in (self.augment, *self.views)]
            parts = zip(*(torch.split(t, size) for t in (together, *augmented)), strict=True)
            for number, (positions, images, *views) in enumerate(parts):
                yield first + number * size, positions, images, tuple(views)

    @property
    def _batches_at_once(self) -> int:
        """How many are augmented together: on a GPU what a launch takes would else be longer than
        the work; on a CPU one, which the caches hold."""
        if self.images.device.type != "cuda":
            return 1
        return max(1, _VALUES_AT_ONCE // (self.batch_size * self.images[0].numel()))


def _seeds(seed: int) -> Iterator[int]:
    """`seed` itself, and others that follow from it."""
    yield seed
    for number in count(1):
        yield int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _product(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first * second
