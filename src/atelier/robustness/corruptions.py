"""What happens to pictures on their way to a classifier, at five severities.

Each corruption is a pure function of whole batches of bytes. What is random in it is drawn for each
image once and is the same at all severities, which differ by one number alone: so a severer one
changes an image more, and no image depends on its neighbors. Lengths are shares of the image's
side, so that 28 pixels and 300 suffer alike; severities are of the kind of Hendrycks and Dietterich
2019 (arXiv:1903.12261), set for pictures of garments.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data import color, filters, geometry
from ..data.image_draws import Draws
from ..errors import ConfigError, did_you_mean

VERSION = 1  # raised when a corruption changes: errors measured before do not compare with new ones


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Attributes:
        name: as a user types it.
        what: what the levels are, in words, with their unit.
        levels: how strong it is at each severity, from 1 on; at 0 nothing happens.
    """

    name: str
    what: str
    levels: tuple[float, ...]

    @property
    def severities(self) -> range:
        """1 to 5; a mirror has no degrees and stops at 1."""
        return range(1, len(self.levels) + 1)


@dataclass(frozen=True)
class _Ground:
    """What a corruption knows beside the pixels.

    Attributes:
        draws: of the images.
        background: byte that comes in from outside the image.
    """

    draws: Draws
    background: int


def corrupt(
    images: npt.NDArray[np.uint8],
    name: str,
    severity: int,
    *,
    ids: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
    background: int = 0,
    device: str | torch.device = "cpu",
) -> npt.NDArray[np.uint8]:
    """Images as they are after a corruption.

    Args:
        images: (N, C, H, W), gray or color, of any size.
        name: one of `CORRUPTIONS`.
        severity: 0, which changes nothing, to the corruption's last, 5 for all but ``mirror``.
        ids: (N,) that an image's draws follow from; None counts them from 0.
        seed: of the draws.
        background: byte that comes in from outside the image.
        device: that it is computed on.

    Returns:
        (N, C, H, W) uint8, new.

    Raises:
        ConfigError: no such corruption, or no such severity.
    """
    corruption = corruption_of(name)
    if severity not in range(len(corruption.levels) + 1):
        raise ConfigError(
            f"{name} has no such severity", got=severity, allowed=f"0 to {len(corruption.levels)}"
        )
    if severity == 0 or not len(images):
        return np.array(images, copy=True)
    numbers = np.arange(len(images)) if ids is None else ids
    ground = _Ground(
        Draws(torch.from_numpy(np.array(numbers, np.int64)).to(device), seed, name), background
    )
    pixels = torch.from_numpy(np.array(images)).to(device)
    changed = _CHANGES[name](pixels.float(), corruption.levels[severity - 1], ground)
    result: npt.NDArray[np.uint8] = changed.round_().clamp_(0, 255).to(torch.uint8).cpu().numpy()
    return result


def corruption_of(name: str) -> Corruption:
    """The corruption of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in CORRUPTIONS:
        raise ConfigError("unknown corruption", got=name, fix=did_you_mean(name, CORRUPTIONS))
    return CORRUPTIONS[name]


def corruptions_of(names: Sequence[str] | None) -> tuple[Corruption, ...]:
    """The corruptions of these names, each once and in the order of `CORRUPTIONS`; None is all.

    Raises:
        ConfigError: an unknown name.
    """
    chosen = {corruption_of(name).name for name in CORRUPTIONS} if names is None else set(names)
    for name in chosen:
        corruption_of(name)
    return tuple(one for one in CORRUPTIONS.values() if one.name in chosen)


def _noise(pixels: Tensor, deviation: float, ground: _Ground) -> Tensor:
    return pixels + 255 * deviation * ground.draws.normal(*pixels.shape[1:])


def _blur(pixels: Tensor, share: float, _ground: _Ground) -> Tensor:
    return filters.gaussian_blur(pixels, share * max(pixels.shape[-2:]))


def _contrast(pixels: Tensor, lost: float, _ground: _Ground) -> Tensor:
    channels = pixels.shape[1]
    gray = pixels.mean((2, 3)) @ color.luma_of(channels, pixels.device)
    maps = color.contrast(torch.full_like(gray, 1 - lost), gray, channels)
    zero, one = pixels.new_zeros(channels), pixels.new_ones(channels)
    return color.recolor(pixels, maps, zero, one)


def _brightness(pixels: Tensor, share: float, ground: _Ground) -> Tensor:
    return pixels + 255 * share * ground.draws.sign().view(-1, 1, 1, 1)


def _shift(pixels: Tensor, share: float, ground: _Ground) -> Tensor:
    # Along rows or columns: at 28 pixels the levels are whole ones, and nothing is blurred.
    along = (ground.draws.uniform(part="along") < 0.5).float()
    sides = torch.stack([along, 1 - along], dim=1) * ground.draws.sign()[:, None]
    still = torch.zeros_like(along)
    return _moved(pixels, ground, still, still + 1, 2 * share * sides)


def _rotation(pixels: Tensor, degrees: float, ground: _Ground) -> Tensor:
    sign = ground.draws.sign()
    nowhere = sign.new_zeros(len(sign), 2)
    return _moved(pixels, ground, math.radians(degrees) * sign, torch.ones_like(sign), nowhere)


def _scale(pixels: Tensor, factor: float, ground: _Ground) -> Tensor:
    sign = ground.draws.sign()
    return _moved(pixels, ground, 0 * sign, (1 + factor) ** sign, sign.new_zeros(len(sign), 2))


def _moved(pixels: Tensor, ground: _Ground, angle: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    matrices = geometry.affine(angle, zoom, shift, pixels.shape[-2] / pixels.shape[-1])
    return geometry.warp(pixels, matrices, pixels.new_tensor(ground.background))


def _mirror(pixels: Tensor, _always: float, _ground: _Ground) -> Tensor:
    return pixels.flip(-1)


def _elastic(pixels: Tensor, share: float, ground: _Ground) -> Tensor:
    """Displacements that are normal at a coarse grid and smooth between (Simard et al. 2003)."""
    height, width = pixels.shape[-2:]
    coarse = ground.draws.normal(2, _GRID, _GRID)
    field = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
    x, y = (geometry.centers(side, pixels.device) for side in (width, height))
    # Units of half a side, as `geometry.warp` has them.
    places = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])
    grid = (places + 2 * share * field).permute(0, 2, 3, 1)
    background = float(ground.background)
    moved = F.grid_sample(pixels - background, grid, mode="bilinear", align_corners=False)
    return moved + background


def _occlusion(pixels: Tensor, side: float, ground: _Ground) -> Tensor:
    """A gray rectangle before the garment; a larger one covers what a smaller one does."""
    height, width = (max(1, round(side * whole)) for whole in pixels.shape[-2:])
    down, right = ground.draws.uniform(2).T
    top = (down * (pixels.shape[-2] - height)).round()
    left = (right * (pixels.shape[-1] - width)).round()
    sizes = [torch.full_like(top, length) for length in (height, width)]
    return pixels.masked_fill(geometry.boxes(pixels.shape, top, left, *sizes), _GRAY)


def _jpeg(pixels: Tensor, lost: float, _ground: _Ground) -> Tensor:
    return filters.jpeg(pixels, quality=round(100 * (1 - lost)))


_GRID = 4  # places of independent displacement along a side
_GRAY = 127.0
_CHANGES: dict[str, Callable[[Tensor, float, _Ground], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "shift": _shift,
    "rotation": _rotation,
    "scale": _scale,
    "mirror": _mirror,
    "elastic": _elastic,
    "occlusion": _occlusion,
    "jpeg": _jpeg,
}
CORRUPTIONS = {
    one.name: one
    for one in (
        Corruption(
            "noise", "deviation of Gaussian noise, of the span of bytes",
            (0.04, 0.08, 0.12, 0.18, 0.26),
        ),
        Corruption(
            "blur", "deviation of a Gaussian blur, of the longer side",
            (0.015, 0.025, 0.035, 0.05, 0.07),
        ),
        Corruption("contrast", "share of the contrast that is lost", (0.2, 0.35, 0.5, 0.65, 0.8)),
        Corruption(
            "brightness", "lighter or darker by, of the span of bytes", (0.05, 0.1, 0.2, 0.3, 0.4)
        ),
        Corruption(
            "shift", "to one of four sides, of the side", (1 / 28, 2 / 28, 3 / 28, 4 / 28, 6 / 28)
        ),
        Corruption("rotation", "degrees, one way or the other", (5.0, 10.0, 15.0, 20.0, 30.0)),
        Corruption("scale", "larger or smaller by", (0.1, 0.2, 0.3, 0.45, 0.6)),
        Corruption("mirror", "left to right", (1.0,)),
        Corruption(
            "elastic", "deviation of smooth displacements, of the side",
            (0.01, 0.02, 0.03, 0.045, 0.06),
        ),
        Corruption("occlusion", "side of a gray rectangle, of the side", (0.2, 0.3, 0.4, 0.5, 0.6)),
        Corruption("jpeg", "100 % less the quality", (0.4, 0.65, 0.8, 0.9, 0.95)),
    )
}  # fmt: skip
"""By name, in the order in which they are shown."""
