"""The nearest training images."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .fitted import Fitted, Pixels, log_shares

_CENTER = 128
_ROWS = 8192  # of training images that become floats at a time


class Neighbors(Fitted):
    """The logarithms of the shares of votes of the nearest training images (Cover & Hart 1967,
    "Nearest neighbor pattern classification").

    The training images are kept, a byte for each pixel. Distances come from a matrix product of
    bytes less 128: on 28 x 28 gray pixels all its sums are whole and below 2^24, and so exact in
    float32; on larger images they are rounded.

    Args:
        channels: of the images.
        num_pixels: D, values of an image.
        num_classes: K.
        neighbors: that vote, at most the number of training images.
        weights: whether a vote counts 1 or the inverse of its distance; of images at no distance,
            none that is farther has a vote.
        smoothing: votes that each class has before, of the mean weight of a vote.

    Attributes:
        images: (M, D) int8, training images less 128.
        labels: (M,) of them.
        counts: (M,) what the vote of each counts besides.
    """

    images: Tensor
    labels: Tensor
    counts: Tensor

    def __init__(
        self,
        channels: int,
        num_pixels: int,
        num_classes: int,
        *,
        neighbors: int,
        weights: Literal["uniform", "distance"],
        smoothing: float,
    ) -> None:
        super().__init__()
        self.pixels = Pixels(channels)
        self.num_classes = num_classes
        self.neighbors = neighbors
        self.weights = weights
        self.smoothing = smoothing
        self.register_buffer("images", torch.zeros(1, num_pixels, dtype=torch.int8))
        self.register_buffer("labels", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("counts", torch.ones(1))

    def hold_bytes(self, images: Tensor, labels: Tensor, counts: Tensor | None) -> None:
        """Keep (M, D) uint8 training images, their labels, and what each counts."""
        centered = (images.to(torch.int16) - _CENTER).to(torch.int8)
        self.hold(
            images=centered,
            labels=labels,
            counts=torch.ones(len(labels)) if counts is None else counts,
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) normalized floats to (N, K)."""
        distances, found = self.nearest(self.pixels(images))
        votes = self.counts[found]
        if self.weights == "distance":
            same = distances == 0
            inverse = 1 / distances.clamp(min=1e-12).sqrt()
            alone = same.any(dim=1, keepdim=True)
            votes = votes * torch.where(alone, same.to(inverse.dtype), inverse)
        # So that smoothing means the same whatever the unit of the distances.
        mean = votes.mean(dim=1, keepdim=True).clamp(min=1e-12)
        classes = torch.arange(self.num_classes, device=found.device)
        belongs = self.labels[found].unsqueeze(2) == classes
        return log_shares((votes / mean).unsqueeze(2).mul(belongs).sum(dim=1), self.smoothing)

    def nearest(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) bytes as floats to (N, k) squared distances and places of the nearest images."""
        queries = pixels - _CENTER
        halves, places = [], []
        for start in range(0, len(self.images), _ROWS):
            rows = self.images[start : start + _ROWS].to(queries.dtype)
            # Half of the squared distance, less what is the same for all.
            half = rows.square().sum(dim=1) / 2 - F.linear(queries, rows)
            near = half.topk(min(self.neighbors, len(rows)), dim=1, largest=False)
            halves.append(near.values)
            places.append(near.indices + start)
        half, place = torch.cat(halves, dim=1), torch.cat(places, dim=1)
        near = half.topk(min(self.neighbors, half.shape[1]), dim=1, largest=False)
        squares = 2 * near.values + queries.square().sum(dim=1, keepdim=True)
        return squares.clamp(min=0), place.gather(1, near.indices)
