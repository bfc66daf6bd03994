"""Histograms of oriented gradients, of whole batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6  # without it the angle of no gradient has no derivative
_CLIP = 0.2  # Lowe's, which L2-Hys takes over


class HOG(nn.Module):
    """Histograms of oriented gradients (Dalal & Triggs 2005, "Histograms of oriented gradients for
    human detection", section 6).

    Gradients by [-1, 0, 1], of the channel where it is strongest; each pixel votes with its
    magnitude, shared linearly between the two nearest of `orientations` unsigned directions and
    between the nearest cells; blocks of 2 x 2 cells at every cell are brought to length 1, cut at
    0.2, and to length 1 again (L2-Hys). All is divided by the root of the number of blocks, so that
    a descriptor has length 1 whatever the size of the image.

    Args:
        cells: sides of a cell in pixels; the descriptors of several sizes stand behind each other.
        orientations: directions in half a turn.
    """

    def __init__(self, cells: Sequence[int], orientations: int) -> None:
        super().__init__()
        self.cells = tuple(cells)
        self.orientations = orientations
        centers = torch.arange(orientations, dtype=torch.float32).view(1, -1, 1, 1)
        self.centers: Tensor
        self.register_buffer("centers", centers, persistent=False)
        for cell in self.cells:
            # Linear interpolation between cells is a sum weighted by a triangle twice as wide.
            width = 2 * cell - cell % 2
            ramp = 1 - (torch.arange(width) - (width - 1) / 2).abs() / cell
            kernel = torch.outer(ramp, ramp).view(1, 1, width, width)
            self.register_buffer(f"kernel_{cell}", kernel, persistent=False)

    def width(self, image_shape: tuple[int, int, int]) -> int:
        """D, of images of (channels, height, width).

        Raises:
            ValueError: a side has fewer than two cells.
        """
        _, height, width = image_shape
        if min(height, width) < 2 * max(self.cells):
            raise ValueError(f"images of {height} x {width} pixels are too small for it")
        blocks = sum((height // cell - 1) * (width // cell - 1) for cell in self.cells)
        return 4 * self.orientations * blocks

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) floats to (N, D) descriptors."""
        votes = self.votes(images)
        return torch.cat([self._blocks(self._histograms(votes, c)) for c in self.cells], dim=1) / (
            math.sqrt(len(self.cells))
        )

    def votes(self, images: Tensor) -> Tensor:
        """(N, O, H, W): what each pixel gives to each direction."""
        wide = F.pad(images, (1, 1, 0, 0), mode="replicate")
        tall = F.pad(images, (0, 0, 1, 1), mode="replicate")
        dx = wide[..., 2:] - wide[..., :-2]
        dy = tall[..., 2:, :] - tall[..., :-2, :]
        if images.shape[1] > 1:
            strongest = (dx * dx + dy * dy).argmax(dim=1, keepdim=True)
            dx, dy = dx.gather(1, strongest), dy.gather(1, strongest)
        magnitude = (dx * dx + dy * dy + _EPSILON**2).sqrt()
        # In units of one direction's width, the first one's middle at 0.5.
        place = torch.atan2(dy, dx + _EPSILON) / math.pi * self.orientations - 0.5
        away = torch.remainder(place - self.centers, self.orientations)
        near = torch.minimum(away, self.orientations - away)
        return magnitude * (1 - near).clamp(min=0)

    def _histograms(self, votes: Tensor, cell: int) -> Tensor:
        """(N, O, H, W) votes to (N, O, H / cell, W / cell) sums."""
        count, orientations, height, width = votes.shape
        rows, columns = height // cell, width // cell
        # What is left over at the borders is shared out, so that the cells lie in the middle.
        top, left = (height - rows * cell) // 2, (width - columns * cell) // 2
        votes = votes[..., top : top + rows * cell, left : left + columns * cell]
        each = votes.reshape(count * orientations, 1, rows * cell, columns * cell)
        kernel = self.get_buffer(f"kernel_{cell}")
        sums = F.conv2d(each, kernel, stride=cell, padding=cell // 2)
        return sums.view(count, orientations, rows, columns)

    @staticmethod
    def _blocks(histograms: Tensor) -> Tensor:
        """(N, O, R, S) histograms to (N, 4 O (R - 1) (S - 1)) normalized blocks."""
        rows, columns = histograms.shape[2] - 1, histograms.shape[3] - 1
        blocks = torch.cat(
            [histograms[:, :, i : i + rows, j : j + columns] for i in range(2) for j in range(2)],
            dim=1,
        )
        blocks = _unit(_unit(blocks).clamp(max=_CLIP))
        return blocks.flatten(1) / math.sqrt(rows * columns)


def _unit(blocks: Tensor) -> Tensor:
    return blocks / (blocks.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()
