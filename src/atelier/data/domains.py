"""The same garments as they might look elsewhere: six domains, to adapt networks to.

Each is a pure function of a batch of bytes whose draws follow from the seed and the image's id, so
that an image looks the same in whatever batch it stands. A domain keeps ids and labels; what it
changes is written in docs/domains.md. Lengths are shares of the image's side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DataError, did_you_mean
from . import geometry
from .filters import gaussian_blur, jpeg
from .image_draws import Draws

VERSION = 1  # raised when a domain changes: what the cache holds of it is made anew
_BATCH = 2048


@dataclass(frozen=True)
class Domain:
    """A look that images can have.

    Attributes:
        name: as a user types it, behind the data set and a colon.
        what: what happens to an image.
        change: from (N, C, H, W) floats in 0..255 and their draws to as many floats.
    """

    name: str
    what: str
    change: Callable[[Tensor, Draws], Tensor]


def to_domain(
    images: npt.NDArray[np.uint8],
    name: str,
    *,
    ids: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
    part: str = "",
    device: str | torch.device = "cpu",
) -> npt.NDArray[np.uint8]:
    """Images as they look in a domain.

    Args:
        images: (N, C, H, W), gray or color, of any size.
        name: one of `DOMAINS`.
        ids: (N,) that an image's draws follow from; None counts them from 0.
        seed: of the draws.
        part: a word, as train or test, where ids are counted anew in each part.
        device: that it is computed on.

    Returns:
        (N, C, H, W) uint8, new.

    Raises:
        DataError: no such domain.
    """
    domain = domain_of(name)
    numbers = torch.from_numpy(np.array(np.arange(len(images)) if ids is None else ids, np.int64))
    result = np.empty_like(images, order="C")
    for start in range(0, len(images), _BATCH):
        block = slice(start, start + _BATCH)
        pixels = torch.from_numpy(np.array(images[block])).to(device).float()
        draws = Draws(numbers[block].to(device), seed, f"{name} {part}".strip())
        changed = domain.change(pixels, draws).round().clamp(0, 255).to(torch.uint8)
        result[block] = changed.cpu().numpy()
    return result


def domain_of(name: str) -> Domain:
    """The domain of this name.

    Raises:
        DataError: there is none.
    """
    if name not in DOMAINS:
        raise DataError(
            "unknown domain",
            got=name,
            allowed=", ".join(DOMAINS),
            fix=did_you_mean(name, DOMAINS),
        )
    return DOMAINS[name]


def _inverted(pixels: Tensor, _draws: Draws) -> Tensor:
    return 255 - pixels


def _thickened(pixels: Tensor, _draws: Draws) -> Tensor:
    """Grayscale dilation by a disk, the operation by which Morpho-MNIST thickens strokes (Castro et
    al. 2019, arXiv:1809.10780)."""
    side = max(pixels.shape[-2:])
    reach = max(1, round(_THICKER * side))
    padded = F.pad(pixels, (reach,) * 4)
    height, width = pixels.shape[-2:]
    seen = [
        padded[:, :, down : down + height, right : right + width] for down, right in _disk(reach)
    ]
    return torch.stack(seen).amax(dim=0)


def _disk(reach: int) -> Iterable[tuple[int, int]]:
    """Offsets from the upper left of a square of ``2 * reach + 1`` to the places of a disk."""
    span = range(2 * reach + 1)
    limit = (reach + 0.5) ** 2
    return [(y, x) for y in span for x in span if (y - reach) ** 2 + (x - reach) ** 2 <= limit]


def _textured(pixels: Tensor, draws: Draws) -> Tensor:
    """Behind the garment stripes or checks of a drawn direction, width and brightness, with a
    grain; in its holes, which are black too, they are seen as well."""
    height, width = pixels.shape[-2:]
    side = max(height, width)
    y = torch.arange(height, device=pixels.device).view(1, 1, -1, 1) / side
    x = torch.arange(width, device=pixels.device).view(1, 1, 1, -1) / side
    first, second, kind, low, spread, turn, length = (
        value.view(-1, 1, 1, 1) for value in draws.uniform(7).unbind(dim=1)
    )
    angle = math.pi * turn
    waves = 2 * math.pi / (_SHORTEST + (_LONGEST - _SHORTEST) * length)
    along = torch.cos(angle) * x + torch.sin(angle) * y
    across = torch.cos(angle) * y - torch.sin(angle) * x
    stripes = torch.sin(waves * along + 2 * math.pi * first)
    checks = stripes * torch.sin(waves * across + 2 * math.pi * second)
    pattern = torch.where(kind < 0.5, stripes, checks)
    grain = draws.normal(1, height, width, part="grain")
    ground = 255 * (0.15 + 0.25 * low + (0.08 + 0.14 * spread) * pattern + 0.04 * grain)
    return pixels + (1 - _covered(pixels)) * ground.clamp(0, 255)


def _photographed(pixels: Tensor, draws: Draws) -> Tensor:
    """A print of the picture, photographed: on gray paper, at a slight slant, in uneven light, a
    little out of focus, with the sensor's noise, kept as a JPEG file."""
    height, width = pixels.shape[-2:]
    paper, tilt_x, tilt_y, angle, strength, where, zoom = draws.uniform(7).unbind(dim=1)
    paper = 255 * (0.12 + 0.25 * paper)
    behind = paper.view(-1, 1, 1, 1)
    scene = pixels + (1 - _covered(pixels)) * behind
    turn = math.radians(8) * (2 * angle - 1)
    nowhere = torch.zeros(len(pixels), 2, device=pixels.device)
    matrices = geometry.affine(turn, 0.85 + 0.15 * zoom, nowhere, height / width)
    tilts = 0.15 * (2 * torch.stack([tilt_x, tilt_y], dim=1) - 1)
    seen = geometry.warp(scene, matrices @ geometry.perspective(tilts), behind)
    y = geometry.centers(height, pixels.device).view(1, 1, -1, 1)
    x = geometry.centers(width, pixels.device).view(1, 1, 1, -1)
    side = (2 * math.pi * where).view(-1, 1, 1, 1)
    light = 0.8 + (0.15 + 0.3 * strength).view(-1, 1, 1, 1) * (
        torch.cos(side) * x + torch.sin(side) * y
    )
    lit = gaussian_blur(seen * light, 0.025 * max(height, width))
    noise = 255 * 0.03 * draws.normal(*pixels.shape[1:], part="noise")
    return jpeg((lit + noise).round().clamp(0, 255), quality=50)


def _mirrored(pixels: Tensor, _draws: Draws) -> Tensor:
    return pixels.flip(-1)


def _rotated(pixels: Tensor, draws: Draws) -> Tensor:
    """By 20 to 50 degrees, one way or the other, about the middle."""
    degrees = draws.sign() * (20 + 30 * draws.uniform(part="degrees"))
    ones, nowhere = torch.ones_like(degrees), degrees.new_zeros(len(degrees), 2)
    aspect = pixels.shape[-2] / pixels.shape[-1]
    matrices = geometry.affine(torch.deg2rad(degrees), ones, nowhere, aspect)
    return geometry.warp(pixels, matrices, pixels.new_tensor(0.0))


def _covered(pixels: Tensor) -> Tensor:
    """(N, 1, H, W) in 0..1, how much of the garment is before the ground, which is black."""
    return (pixels.amax(dim=1, keepdim=True) / _OPAQUE).clamp(max=1)


_THICKER = 2 / 28  # of the side, on each side of what is thickened
_SHORTEST, _LONGEST = 4 / 28, 12 / 28  # of the side: from stripe to stripe
_OPAQUE = 24.0  # byte from which on nothing is seen through a garment
DOMAINS = {
    domain.name: domain
    for domain in (
        Domain("inverted", "light and dark swapped: dark garments on white", _inverted),
        Domain("thickened", "grayscale dilation by a disk of 2 pixels' radius", _thickened),
        Domain("textured", "stripes or checks with a grain behind the garment", _textured),
        Domain(
            "photographed",
            "a print, photographed: gray paper, slant, uneven light, blur, noise, JPEG",
            _photographed,
        ),
        Domain("mirrored", "left to right", _mirrored),
        Domain("rotated", "by 20 to 50 degrees, one way or the other", _rotated),
    )
}
"""By name, in the order in which they are shown."""
