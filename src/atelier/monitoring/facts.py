"""A few numbers that say how an image looks, cheap enough to be taken of each one that is served.

They are kept with every logged prediction instead of the image: enough to see that pictures have
become darker, blurred, cropped, mirrored or inverted, and too little to see what was on them.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

THUMBNAIL_SIDE = 8
NAMES = (
    "brightness",
    "contrast",
    "dark share",
    "light share",
    "sharpness",
    "left to right",
    "top to bottom",
    "colorfulness",
)
"""What the columns of `ImageFacts.stats` are, in order."""

_DARK, _LIGHT = 32, 223  # bytes up to and from which a pixel is nearly black or nearly white
_DECIMALS = 5
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's gray


class ImageFacts(NamedTuple):
    """How N images look.

    Attributes:
        stats: (N, 8) float32, in the order of `NAMES`: the mean gray value and its standard
            deviation over the pixels, as shares of 255; the shares of nearly black and nearly white
            pixels; the mean difference of neighboring pixels; by how much the right half is lighter
            than the left, and the lower than the upper; and the mean distance between the largest
            and the least channel, which is 0 of a gray image.
        thumbnails: (N, 64) uint8, the mean gray value of each field of a grid of 8 x 8, by rows.
    """

    stats: npt.NDArray[np.float32]
    thumbnails: npt.NDArray[np.uint8]


def image_facts(images: npt.NDArray[np.uint8]) -> ImageFacts:
    """What is kept of images.

    Args:
        images: (N, C, H, W), gray or RGB, of any size from 1 x 1; N may be 0.
    """
    n, channels, height, width = images.shape
    stats = np.zeros((n, len(NAMES)), np.float32)
    if channels == 3:
        gray = np.tensordot(images.astype(np.float32), _LUMA, axes=([1], [0]))
        spread = images.max(axis=1) - images.min(axis=1)
        stats[:, 7] = spread.mean(axis=(1, 2), dtype=np.float32)
    else:
        gray = images[:, 0].astype(np.float32)
    # Every mean over a rectangle is a product from both sides.
    means = _weights(height) @ gray @ _weights(width).T
    stats[:, 0] = means[:, _WHOLE, _WHOLE]
    flat = gray.reshape(n, height * width)
    squares = np.einsum("np,np->n", flat, flat) / (height * width)
    stats[:, 1] = np.sqrt(np.maximum(squares - stats[:, 0] ** 2, 0))
    pixels = np.float32(1 / (height * width))
    stats[:, 2] = np.count_nonzero(flat <= _DARK, axis=1) * pixels
    stats[:, 3] = np.count_nonzero(flat >= _LIGHT, axis=1) * pixels
    for axis, length in ((1, height), (2, width)):
        if length > 1:
            steps = np.abs(np.diff(gray, axis=axis))
            stats[:, 4] += steps.mean(axis=(1, 2)) / 2
    stats[:, 5] = means[:, _WHOLE, _HALVES]
    stats[:, 6] = means[:, _HALVES, _WHOLE]
    stats[:, [0, 1, 4, 5, 6, 7]] /= 255
    # The last bits depend on how many images came together; equal images must have equal facts.
    np.round(stats, _DECIMALS, out=stats)
    fields = means[:, :THUMBNAIL_SIDE, :THUMBNAIL_SIDE]
    return ImageFacts(stats, np.rint(fields).astype(np.uint8).reshape(n, THUMBNAIL_SIDE**2))


_HALVES, _WHOLE = THUMBNAIL_SIDE, THUMBNAIL_SIDE + 1


@functools.lru_cache(maxsize=64)
def _weights(length: int) -> npt.NDArray[np.float32]:
    """(10, L) what each pixel of a side counts in the 8 fields, in the second half less the first,
    and in the mean.

    Fields are as equal as whole pixels allow; of a side of fewer pixels some take the same.
    """
    weights = np.zeros((THUMBNAIL_SIDE + 2, length), np.float32)
    for k in range(THUMBNAIL_SIDE):
        start = k * length // THUMBNAIL_SIDE
        end = max((k + 1) * length // THUMBNAIL_SIDE, start + 1)
        weights[k, start:end] = 1 / (end - start)
    half = length // 2
    if half:
        weights[_HALVES, :half], weights[_HALVES, -half:] = -1 / half, 1 / half
    weights[_WHOLE] = 1 / length
    weights.flags.writeable = False
    return weights
