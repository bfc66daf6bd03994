"""Histograms of oriented gradients, of whole batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Without it the length and the angle of no gradient have no derivative. Not smaller, for ONNX's
# optimizer takes the sum of a number and less than 1e-8 for the number.
_TINY = 1e-3
_CLIP = 0.2  # Lowe's, which L2-Hys takes over
_FLAT = 0.01  # squared length, of images of deviation 1: what is below is noise and stays small


class HOG(nn.Module):
    """Histograms of oriented gradients (Dalal & Triggs 2005, "Histograms of oriented gradients for
    human detection", section 6).

    Gradients by [-1, 0, 1], of the channel where it is strongest; each pixel votes with its
    magnitude, shared linearly between the two nearest of `orientations` unsigned directions and
    between the nearest cells; blocks of 2 x 2 cells at every cell are brought to length 1, cut at
    0.2, and to length 1 again (L2-Hys). All is divided by the root of the number of blocks, so that
    a descriptor has length 1 whatever the size of the image.

    Args:
        image_shape: channels, height and width of the images.
        cells: sides of a cell in pixels; the descriptors of several sizes stand behind each other.
        orientations: directions in half a turn.

    Raises:
        ValueError: a side has fewer than two cells.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], cells: Sequence[int], orientations: int
    ) -> None:
        super().__init__()
        height, width = image_shape[1:]
        if min(height, width) < 2 * max(cells):
            raise ValueError(f"images of {height} x {width} pixels are too small for it")
        self.cells = tuple(cells)
        self.orientations = orientations
        self.centers: Tensor
        centers = torch.arange(orientations, dtype=torch.float32).view(1, -1, 1, 1)
        self.register_buffer("centers", centers, persistent=False)
        for cell in self.cells:
            self.register_buffer(f"rows_{cell}", _shares(height, cell), persistent=False)
            self.register_buffer(f"columns_{cell}", _shares(width, cell).T, persistent=False)
        blocks = sum((height // cell - 1) * (width // cell - 1) for cell in self.cells)
        self.width = 4 * orientations * blocks

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) floats to (N, `width`) descriptors."""
        votes = self.votes(images)
        found = [
            _blocks(self.get_buffer(f"rows_{cell}") @ (votes @ self.get_buffer(f"columns_{cell}")))
            for cell in self.cells
        ]
        return torch.cat(found, dim=1) / math.sqrt(len(found))

    def votes(self, images: Tensor) -> Tensor:
        """(N, O, H, W): what each pixel gives to each direction."""
        wide = F.pad(images, (1, 1, 0, 0), mode="replicate")
        tall = F.pad(images, (0, 0, 1, 1), mode="replicate")
        dx = wide[..., 2:] - wide[..., :-2]
        dy = tall[..., 2:, :] - tall[..., :-2, :]
        if images.shape[1] > 1:
            strongest = (dx * dx + dy * dy).argmax(dim=1, keepdim=True)
            dx, dy = dx.gather(1, strongest), dy.gather(1, strongest)
        magnitude = (dx * dx + dy * dy + _TINY**2).sqrt() - _TINY
        # In units of one direction's width, the first one's middle at 0.5.
        place = torch.atan2(dy, dx + _TINY**2) / math.pi * self.orientations - 0.5
        away = torch.remainder(place - self.centers, self.orientations)
        near = torch.minimum(away, self.orientations - away)
        return magnitude * (1 - near).clamp(min=0)


def _shares(side: int, cell: int) -> Tensor:
    """(side // cell, side): what each pixel in a row gives to each cell. Cells lie in the middle of
    the row; a pixel between two middles of cells gives to both."""
    count = side // cell
    first = (side - count * cell) / 2 + (cell - 1) / 2
    middles = first + cell * torch.arange(count)
    return (1 - (torch.arange(side) - middles[:, None]).abs() / cell).clamp(min=0)


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
    return blocks / (blocks.square().sum(dim=1, keepdim=True) + _FLAT).sqrt()
