"""Changes of color and light, of whole batches.

All but the light is one affine map of an image's channels, so that any number of changes costs one
pass over the pixels. Maps are (N, C + 1, C + 1) matrices on (C channels, 1), of pixels in 0..1;
``a @ b`` is `b` first. Nothing is cut off at black and white: a network has no need of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .geometry import centers

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# From RGB to luma and two axes of color, around the first of which the hue turns.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def luma_of(channels: int, device: torch.device) -> Tensor:
    """(C,) share of each channel in the grey that the eye sees; all alike where they are no RGB."""
    shares = _LUMA if channels == 3 else (1 / channels,) * channels
    return torch.tensor(shares, device=device)


def gain(factors: Tensor) -> Tensor:
    """Multiplies each channel, by (N, C) factors."""
    ones = torch.ones_like(factors[:, :1])
    return torch.diag_embed(torch.cat([factors, ones], dim=1))


def contrast(factors: Tensor, grey: Tensor, channels: int) -> Tensor:
    """Multiplies the distance from `grey` (N,), the mean of an image, by (N,) factors."""
    maps = gain(factors[:, None].expand(-1, channels))
    maps[:, :-1, -1] = ((1 - factors) * grey)[:, None]
    return maps


def saturation(factors: Tensor, luma: Tensor) -> Tensor:
    """Multiplies the distance from grey, by (N,) factors: 0 leaves grey alone."""
    channels = len(luma)
    maps = gain(factors[:, None].expand(-1, channels))
    maps[:, :-1, :-1] += (1 - factors)[:, None, None] * luma
    return maps


def hue(turns: Tensor) -> Tensor:
    """Turns the colors of RGB images around the axis of greys, by (N,) shares of a full turn, at
    the same luma (in YIQ, where it is a linear map)."""
    angle = 2 * math.pi * turns
    cos, sin, zero = torch.cos(angle), torch.sin(angle), torch.zeros_like(angle)
    turned = torch.stack([zero + 1, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    to_yiq = torch.tensor(_YIQ, device=turns.device)
    maps = torch.eye(4, device=turns.device).repeat(len(turns), 1, 1)
    maps[:, :3, :3] = torch.linalg.inv(to_yiq) @ turned @ to_yiq
    return maps


def recolor(images: Tensor, maps: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Apply maps of pixels in 0..1 to normalized images.

    Args:
        images: (N, C, H, W) floats, ``(pixels - mean) / std``.
        maps: (N, C + 1, C + 1).
        mean: (C,) of the pixels.
        std: (C,) of the pixels.
    """
    linear = maps[:, :-1, :-1]
    shift = (linear @ mean + maps[:, :-1, -1] - mean) / std
    linear = linear * std / std[:, None]
    mixed = torch.baddbmm(shift[:, :, None], linear, images.contiguous().flatten(2))
    return mixed.view(images.shape)


def shade(images: Tensor, strength: Tensor, angle: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Light from one side: brightness goes evenly from less to more across the image.

    Args:
        images: (N, C, H, W) floats, ``(pixels - mean) / std``.
        strength: (N,) by how much more than in the middle, and on the other side less.
        angle: (N,) radians, of the direction in which it gets brighter.
        mean: (C,) of the pixels.
        std: (C,) of the pixels.
    """
    y, x = (centers(side, images.device) for side in images.shape[-2:])
    right, down = strength * torch.cos(angle), strength * torch.sin(angle)
    change = down.view(-1, 1, 1, 1) * y.view(-1, 1) + right.view(-1, 1, 1, 1) * x
    black = (mean / std).view(-1, 1, 1)
    return torch.addcmul(images, images + black, change)
