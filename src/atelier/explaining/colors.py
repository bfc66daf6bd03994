"""Colors of maps over images: white is nothing, and equal steps of a value look equal.

The ramps are straight lines in Oklab (Ottosson 2020), where distances are those that eyes see.
"""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.colors import ListedColormap, to_rgb

from ..drawing.canvas import BLUE, VERMILION

_STEPS = 128
_FOR_ALONE = ("#FFFFFF", "#C77CBB", "#4B0F6B")
_DARK_BLUE, _DARK_VERMILION = "#003A63", "#7A2C00"
_PALEST = 0.6  # what remains of black below a map: lighter, so that colors show on it

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)

Floats = npt.NDArray[np.float64]


@functools.cache
def sequential() -> ListedColormap:
    """From white, at 0, to dark purple, at 1."""
    return ListedColormap(_ramp(_FOR_ALONE), "for")


@functools.cache
def diverging() -> ListedColormap:
    """From dark blue, at 0, over white, at a half, to dark vermilion, at 1."""
    down = _ramp(("#FFFFFF", BLUE, _DARK_BLUE))[::-1]
    up = _ramp(("#FFFFFF", VERMILION, _DARK_VERMILION))
    return ListedColormap(np.concatenate([down, up]), "against-for")


def overlaid(
    image: npt.NDArray[np.uint8], values: npt.NDArray[np.floating[Any]], *, signed: bool
) -> npt.NDArray[np.uint8]:
    """A map over a faded gray version of its image, as (3, H, W) uint8.

    Args:
        image: (C, H, W) uint8.
        values: (H, W); the size that all but a hundredth of them stay below gets the darkest color.
        signed: whether values below zero have a color of their own.
    """
    size = np.abs(values)
    # Of a map with a few strong pixels, the hundredth would be nothing.
    largest = max(float(np.quantile(size, 0.99)), 0.5 * float(size.max()), 1e-12)
    scaled = np.clip(values / largest, -1, 1)
    colors = diverging()((scaled + 1) / 2) if signed else sequential()(np.maximum(scaled, 0))
    gray = image.mean(axis=0) / 255 if len(image) == 3 else image[0] / 255
    faded = _PALEST + (1 - _PALEST) * gray
    blended = colors[..., :3].transpose(2, 0, 1) * faded
    result: npt.NDArray[np.uint8] = (255 * blended).round().astype(np.uint8)
    return result


def _ramp(colors: tuple[str, ...]) -> Floats:
    """(N, 3) sRGB on a line through these colors, even steps apart."""
    labs = [_lab(np.array(to_rgb(color))) for color in colors]
    lengths = [float(np.linalg.norm(b - a)) for a, b in pairwise(labs)]
    places = np.concatenate([[0.0], np.cumsum(lengths)]) / sum(lengths)
    along = np.linspace(0, 1, _STEPS)
    line = np.stack([np.interp(along, places, [lab[k] for lab in labs]) for k in range(3)], axis=1)
    return _rgb(line)


def _lab(rgb: Floats) -> Floats:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    result: Floats = _TO_LAB @ np.cbrt(_TO_CONES @ linear)
    return result


def _rgb(lab: Floats) -> Floats:
    linear = (lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_CONES).T
    linear = linear.clip(0, 1)
    result: Floats = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return result
