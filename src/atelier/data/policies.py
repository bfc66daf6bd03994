"""RandAugment and TrivialAugment for whole batches: each image draws its own operations.

What moves pixels becomes part of the batch's one warp. The rest is done in rounds, each operation
on those images that drew it, so that a round costs about one pass over the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import color
from .draws import uniform
from .geometry import affine, shear


@dataclass(frozen=True)
class Drawn:
    """What the images of a batch have drawn.

    Attributes:
        operations: (N, R) int64, positions in `OPERATIONS`, in the order of the rounds.
        strengths: (N, R) from -1 to 1; what has no direction takes the size alone.
    """

    operations: Tensor
    strengths: Tensor

    def matrices(self, aspect: float) -> Tensor:
        """(N, 3, 3) of what moves pixels, for `geometry.warp`; `aspect` as in `affine`."""
        total = torch.eye(3, device=self.strengths.device).expand(len(self.strengths), 3, 3)
        for operation, strength in zip(self.operations.T, self.strengths.T, strict=True):
            amounts = [
                torch.where(operation == OPERATIONS.index(name), strength, 0.0) * largest
                for name, largest in _MOVES.items()
            ]
            angle, right, down, along_x, along_y = amounts
            moved = affine(angle, torch.ones_like(angle), torch.stack([right, down], 1), aspect)
            total = total @ moved @ shear(torch.stack([along_x, along_y], dim=1))
        return total

    def recolor(self, pixels: Tensor) -> Tensor:
        """Do all that leaves pixels where they are.

        Args:
            pixels: (N, C, H, W) floats in 0..1, left as they are.
        """
        pixels = pixels.clone()
        for operation, strength in zip(self.operations.T, self.strengths.T, strict=True):
            for name, change in _CHANGES.items():
                chosen = (operation == OPERATIONS.index(name)).nonzero().flatten()
                if len(chosen):
                    changed = change(pixels[chosen], strength[chosen])
                    pixels[chosen] = changed.clamp_(0, 1)
        return pixels


def rand_augment(
    count: int, *, operations: int, strength: float, generator: torch.Generator
) -> Drawn:
    """Several operations of one strength for each of `count` images (Cubuk et al. 2020,
    arXiv:1909.13719).

    Args:
        operations: for each image, N in the paper.
        strength: as a share of the largest, M / 30 in the paper.
        generator: of the draws.
    """
    drawn = _operations(generator, count, operations)
    sign = torch.where(uniform(generator, count, operations) < 0.5, -1.0, 1.0)
    return Drawn(drawn, sign * strength)


def trivial_augment(count: int, generator: torch.Generator) -> Drawn:
    """One operation of any strength for each of `count` images (Müller and Hutter 2021,
    arXiv:2103.10158), with RandAugment's largest strengths (theirs are up to 135 degrees)."""
    drawn = _operations(generator, count, 1)
    return Drawn(drawn, uniform(generator, count, 1, low=-1, high=1))


def _operations(generator: torch.Generator, count: int, rounds: int) -> Tensor:
    device = generator.device
    return torch.randint(len(OPERATIONS), (count, rounds), generator=generator, device=device)


def _channels_wise(pixels: Tensor, maps: Tensor) -> Tensor:
    zero, one = pixels.new_zeros(pixels.shape[1]), pixels.new_ones(pixels.shape[1])
    return color.recolor(pixels, maps, zero, one)


def _brightness(pixels: Tensor, strength: Tensor) -> Tensor:
    return pixels * (1 + 0.9 * strength).view(-1, 1, 1, 1)


def _contrast(pixels: Tensor, strength: Tensor) -> Tensor:
    channels = pixels.shape[1]
    grey = pixels.mean((2, 3)) @ color.luma_of(channels, pixels.device)
    return _channels_wise(pixels, color.contrast(1 + 0.9 * strength, grey, channels))


def _color(pixels: Tensor, strength: Tensor) -> Tensor:
    luma = color.luma_of(pixels.shape[1], pixels.device)
    return _channels_wise(pixels, color.saturation(1 + 0.9 * strength, luma))


def _sharpness(pixels: Tensor, strength: Tensor) -> Tensor:
    # The mean of the neighborhood in which the pixel itself counts five times.
    around = F.avg_pool2d(pixels, 3, stride=1, padding=1, count_include_pad=False)
    smooth = (9 * around + 4 * pixels) / 13
    return smooth.lerp(pixels, (1 + 0.9 * strength).view(-1, 1, 1, 1))


def _posterize(pixels: Tensor, strength: Tensor) -> Tensor:
    levels = 2 ** (8 - (4 * strength.abs()).round()).view(-1, 1, 1, 1)
    # The lower end of each step, as if bits were cut off.
    return (pixels * 255).round().mul(levels / 256).floor() * (256 / levels) / 255


def _solarize(pixels: Tensor, strength: Tensor) -> Tensor:
    return torch.where(pixels < 1 - strength.abs().view(-1, 1, 1, 1), pixels, 1 - pixels)


def _auto_contrast(pixels: Tensor, _strength: Tensor) -> Tensor:
    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (pixels - low) / spread.clamp(min=1e-6), pixels)


def _equalize(pixels: Tensor, _strength: Tensor) -> Tensor:
    """Each channel's bytes are made as frequent as one another, by their cumulated histogram."""
    levels = (pixels * 255).round().long().flatten(2)
    ones = torch.ones_like(levels)
    zeros = levels.new_zeros(*levels.shape[:2], 256)
    counts = zeros.scatter_add(2, levels, ones)
    below = counts.cumsum(2) - counts
    # The darkest byte goes to 0 and the brightest to 1, whatever their counts.
    last = below.gather(2, levels.amax(2, keepdim=True))
    equalized = below / last.clamp(min=1)
    result = equalized.gather(2, levels).view(pixels.shape)
    return torch.where(last.unsqueeze(-1) > 0, result, pixels)


# The largest angle in radians, shifts in half sides (0.45 of a side) and shears.
_MOVES = {
    "rotate": math.radians(30),
    "translate-x": 0.9,
    "translate-y": 0.9,
    "shear-x": 0.3,
    "shear-y": 0.3,
}
_CHANGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "color": _color,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "auto-contrast": _auto_contrast,
    "equalize": _equalize,
}
OPERATIONS = ("identity", *_MOVES, *_CHANGES)
"""The papers' fourteen."""
