"""Blur and the losses of JPEG, of whole batches."""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_BLOCK = 16  # pixels; of colors at half the resolution
_LONGEST_JPEG = 65_000  # pixels; the format ends at 65,535


def gaussian_blur(pixels: Tensor, sigma: float) -> Tensor:
    """(N, C, H, W) floats, blurred by a Gaussian of `sigma` pixels."""
    for dimension in (-2, -1):
        pixels = _blurred_along(pixels, sigma, dimension)
    return pixels


def _blurred_along(pixels: Tensor, sigma: float, dimension: int) -> Tensor:
    """A Gaussian of `sigma` pixels along one dimension; at the edge it sees the image mirrored."""
    reach = max(1, math.ceil(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=pixels.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    # Edge pixels stand for those beyond, as many as there are: no side is too short for it.
    side = pixels.shape[dimension]
    places = torch.arange(-reach, side + reach, device=pixels.device) % (2 * side)
    places = torch.minimum(places, 2 * side - 1 - places)
    padded = pixels.index_select(dimension, places)
    shape = [1, 1, 1, 1]
    shape[dimension] = -1
    kernel = (weights / weights.sum()).view(shape)
    channels = pixels.shape[1]
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def jpeg(pixels: Tensor, quality: int) -> Tensor:
    """(N, C, H, W) floats in 0..255 through Pillow's encoder, the files that a user has; colors are
    subsampled as by default.

    Images are stacked into one file, which takes a tenth of the time. Each starts at a block of its
    own, and what pads it repeats its edge, as the encoder itself does: gray ones come out bit for
    bit as alone, colored ones but for a few levels in the blocks at the edge.
    """
    images = pixels.to(torch.uint8).cpu().numpy()
    bands = [[0, 1, 2]] if images.shape[1] == 3 else [[k] for k in range(images.shape[1])]
    height, width = images.shape[-2:]
    below, beside = (_BLOCK - side % _BLOCK for side in (height, width))
    # Colors are read back at twice their size, and a first row would see what is above it.
    above = _BLOCK if images.shape[1] == 3 else 0
    padded = np.pad(images, ((0, 0), (0, 0), (above, below), (0, beside)), mode="edge")
    result = np.empty_like(images)
    at_once = max(1, _LONGEST_JPEG // padded.shape[2])
    for start in range(0, len(images), at_once):
        part = slice(start, start + at_once)
        for band in bands:
            stack = padded[part][:, band].transpose(0, 2, 3, 1)
            read = _coded(stack.reshape(-1, *stack.shape[2:]), quality=quality)
            whole = read.reshape(stack.shape).transpose(0, 3, 1, 2)
            result[part, band] = whole[..., above : above + height, :width]
    return torch.from_numpy(result).to(pixels.device).float()


def _coded(sheet: npt.NDArray[np.uint8], quality: int) -> npt.NDArray[np.uint8]:
    """(H, W, 1) or (H, W, 3) bytes as a JPEG file of them shows them."""
    buffer = io.BytesIO()
    image = Image.fromarray(sheet if sheet.shape[2] == 3 else sheet[..., 0])
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)).reshape(sheet.shape)
