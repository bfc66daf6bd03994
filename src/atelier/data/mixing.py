"""MixUp, CutMix and FMix: images of two, with the labels of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config import AugmentConfig
from ..devices import copied
from .fmix import low_frequency_masks
from .geometry import boxes

Floats = npt.NDArray[np.float64]


class Mixed(NamedTuple):
    """Which images are in a mixed batch.

    Attributes:
        partners: (N,) int64, the place in the batch of the other image.
        share: (N,) of the image that the batch's labels and positions name, in 0..1; that of the
            other is what it lacks of 1.
    """

    partners: Tensor
    share: Tensor


class Mixing:
    """Mixes each image with its neighbor in the batch, with a share of its own.

    MixUp (Zhang et al. 2018, arXiv:1710.09412) takes the weighted mean of both; CutMix (Yun et al.
    2019, arXiv:1905.04899) puts a rectangle of the other into the image, and FMix (Harris et al.
    2020, arXiv:2002.12047) blobs of it. Where several are asked for, each image draws one of them.

    Args:
        config: what to do.
        num_epochs: of the training.
    """

    def __init__(self, config: AugmentConfig, num_epochs: int) -> None:
        self.config = config
        self.last = config.mix_until * num_epochs
        alphas = {"cutmix": config.cutmix, "mixup": config.mixup, "fmix": config.fmix}
        self.alphas = {kind: alpha for kind, alpha in alphas.items() if alpha}

    def start_epoch(self, seed: int) -> None:
        """Reseed, as `Augmenter.start_epoch` does."""
        # NumPy's, for torch draws no Beta from a generator of one's own.
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.generator: torch.Generator | None = None  # of masks, made where the images are

    def __call__(self, images: Tensor, done: float) -> tuple[Tensor, Mixed | None]:
        """Mix one batch.

        Args:
            images: (N, C, H, W) floats in random order, left as they are.
            done: epochs that are over.
        """
        if done >= self.last:
            return images, None
        count, (height, width) = len(images), images.shape[-2:]
        kind, drawn = self._draw(count)
        cut = kind == "cutmix"
        # Of the area that the drawn share leaves to the other, what lies within the image.
        sides = np.sqrt(1 - drawn)
        center = self.rng.random((2, count))
        top, bottom = _clipped(center[0], sides, height)
        left, right = _clipped(center[1], sides, width)
        cut_share = 1 - (bottom - top) * (right - left) / (height * width)
        facts = np.stack([cut, drawn, cut_share, top, left, bottom - top, right - left])
        on_device = copied(facts.astype(np.float32), images.device)
        chosen, whole, rest = on_device[0] > 0, on_device[1], on_device[2]
        share = torch.where(chosen, rest, whole)
        weight = share.view(-1, 1, 1, 1)
        if self.config.cutmix:
            inside = boxes(images.shape, *on_device[3:])
            weight = torch.where(chosen.view(-1, 1, 1, 1), (~inside).float(), weight)
        if (kind == "fmix").any():
            weight, share = self._masked(np.flatnonzero(kind == "fmix"), images, weight, share)
        # Shuffled already, so that the neighbor is anyone.
        partners = torch.arange(count, device=images.device).roll(1)
        return images.roll(1, 0).lerp(images, weight), Mixed(partners, share)

    def _draw(self, count: int) -> tuple[npt.NDArray[np.str_], Floats]:
        """For each image in which way it is mixed, and the share of the image itself."""
        rng = self.rng
        chosen = (rng.random(count) * len(self.alphas)).astype(int)
        alpha = np.array(list(self.alphas.values()))[chosen]
        share = rng.beta(alpha, alpha)
        mixed = rng.random(count) < self.config.mix_probability
        kind = np.array(list(self.alphas))[chosen]
        return np.where(mixed, kind, "none"), np.where(mixed, share, 1.0)

    def _masked(
        self, chosen: npt.NDArray[np.intp], images: Tensor, weight: Tensor, share: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The weights of pixels, and the shares, with FMix's masks for the chosen images."""
        if self.generator is None:
            self.generator = torch.Generator(images.device).manual_seed(self.seed)
        where = copied(chosen, images.device)
        size = (images.shape[-2], images.shape[-1])
        masks = low_frequency_masks(share[where], size, self.generator).float()
        weight = weight.expand(-1, 1, *size).index_copy(0, where, masks)
        return weight, share.index_copy(0, where, masks.mean(dim=(1, 2, 3)))


def _clipped(center: Floats, side: Floats, pixels: int) -> tuple[Floats, Floats]:
    first, last = (center - side / 2) * pixels, (center + side / 2) * pixels
    return np.clip(first.round(), 0, pixels), np.clip(last.round(), 0, pixels)
