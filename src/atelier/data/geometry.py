"""Where the pixels of whole batches come from: mirrors, crops, and one warp for all the rest.

A warp is an (N, 3, 3) matrix for each image, which takes a place in the result to the place in the
image that is seen there. Places are homogeneous, in units of half a side about the center, as in
`torch.nn.functional.grid_sample`. ``a @ b`` is seen as `a` first, then `b`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """(N, C, H, W) images, those `chosen` (N,) mirrored left to right."""
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(-1), images)


def pad_images(images: Tensor, pad: int, fill: Tensor | None) -> Tensor:
    """(N, C, H, W) images with `pad` pixels added on every side: of `fill`, (1, C, 1, 1), or where
    that is None what a mirror along the edge would show."""
    if fill is not None:
        return F.pad(images - fill, (pad, pad, pad, pad)) + fill
    rows, columns = (_reflected(side, pad, images.device) for side in images.shape[-2:])
    return images[:, :, rows][:, :, :, columns]


def _reflected(side: int, pad: int, device: torch.device) -> Tensor:
    # A period is there and back; the outermost pixel is shown twice, as `grid_sample` does.
    place = torch.arange(-pad, side + pad, device=device) % (2 * side)
    return torch.minimum(place, 2 * side - 1 - place)


def boxes(shape: torch.Size, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(N, 1, H, W) booleans, true inside one rectangle for each image; sides are (N,) pixels."""
    y = torch.arange(shape[-2], device=top.device).view(1, 1, -1, 1)
    x = torch.arange(shape[-1], device=top.device).view(1, 1, 1, -1)
    top, left, height, width = (side.view(-1, 1, 1, 1) for side in (top, left, height, width))
    return (y >= top) & (y < top + height) & (x >= left) & (x < left + width)


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) images at another (height, width), bilinear and antialiased."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


def affine(angle: Tensor, zoom: Tensor, shift: Tensor, aspect: float) -> Tensor:
    """Turns, scales and then moves each image about the center.

    Args:
        angle: (N,) radians, counter-clockwise as seen.
        zoom: (N,) factors above 0; 2 shows everything twice as large.
        shift: (N, 2) right and down, where 2 is a whole side.
        aspect: height of the images over their width, for places are in units of half a side.

    Returns:
        (N, 3, 3) matrices.
    """
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    right, down = shift[:, 0], shift[:, 1]
    return _rows(
        [cos, -sin * aspect, -cos * right + sin * aspect * down],
        [sin / aspect, cos, -sin / aspect * right - cos * down],
    )


def crop(area: Tensor, stretch: Tensor, place: Tensor) -> Tensor:
    """Shows a part of each image, which lies within it, at the full size (Szegedy et al. 2015,
    arXiv:1409.4842).

    Args:
        area: (N,) share of the image's area, in 0..1.
        stretch: (N,) width of the part over its height, as a multiple of the image's own. The part
            is cut off where the image is no wider or no higher.
        place: (N, 2) where the part lies: -1 is left or top, 1 right or bottom.

    Returns:
        (N, 3, 3) matrices.
    """
    width = (area * stretch).sqrt().clamp(max=1)
    height = (area / stretch).sqrt().clamp(max=1)
    zero = torch.zeros_like(width)
    return _rows(
        [width, zero, place[:, 0] * (1 - width)], [zero, height, place[:, 1] * (1 - height)]
    )


def shear(amount: Tensor) -> Tensor:
    """(N, 3, 3) matrices that move rows and columns, by `amount` (N, 2) of their distance from the
    middle."""
    one, zero = torch.ones_like(amount[:, 0]), torch.zeros_like(amount[:, 0])
    return _rows([one, amount[:, 0], zero], [amount[:, 1], one, zero])


def perspective(tilt: Tensor) -> Tensor:
    """(N, 3, 3) matrices of a camera that is tilted about the middle of what it sees.

    Args:
        tilt: (N, 2) by how much more than the middle what is at the right and the lower edge is
            enlarged, below 0.5 either way.
    """
    one, zero = torch.ones_like(tilt[:, 0]), torch.zeros_like(tilt[:, 0])
    return _rows([one, zero, zero], [zero, one, zero], [tilt[:, 0], tilt[:, 1], one])


def warp(
    images: Tensor,
    matrices: Tensor,
    fill: Tensor | None,
    *,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """One bilinear warp of each image, whatever its matrix is made of.

    Args:
        images: (N, C, H, W) floats.
        matrices: (N, 3, 3).
        fill: value outside the image, broadcastable to `images`; None shows it mirrored there.
        size: height and width of the result; None is that of `images`. A smaller one costs less
            than to warp and resize.
    """
    height, width = size or images.shape[-2:]
    x, y = centers(width, images.device), centers(height, images.device)
    # Not by `affine_grid`, which knows no perspective and takes ten times as long on a CPU.
    down = matrices[:, :, 1, None] * y + matrices[:, :, 2, None]
    places = matrices[:, :, 0, None, None] * x + down[..., None]  # (N, 3, height, width)
    grid = (places[:, :2] / places[:, 2:]).permute(0, 2, 3, 1)
    if fill is None:
        return F.grid_sample(
            images, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
    warped = F.grid_sample(
        images - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return warped + fill


def centers(side: int, device: torch.device) -> Tensor:
    """(side,) the middles of the pixels of a row or column, in units of half its length."""
    return (2 * torch.arange(side, device=device) + 1) / side - 1


def _rows(first: list[Tensor], second: list[Tensor], third: list[Tensor] | None = None) -> Tensor:
    """(N, 3, 3) from the (N,) values of their rows."""
    if third is None:
        zero = torch.zeros_like(first[0])
        third = [zero, zero, torch.ones_like(zero)]
    return torch.stack([torch.stack(row, dim=1) for row in (first, second, third)], dim=1)
