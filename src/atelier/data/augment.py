"""Augmentation of whole batches on the training device, each image with its own random draw."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import AugmentConfig


class Augmenter:
    """Applies an `AugmentConfig` to batches of normalized images.

    Args:
        config: what to do.
        fill: (C,) normalized value of the background that comes in at the edges.
        num_images: size of the training set, for the alternating mirror.
        seed: of the alternating mirror's first coin.
        device: of the images.
    """

    def __init__(
        self, config: AugmentConfig, fill: Tensor, num_images: int, seed: int, device: torch.device
    ) -> None:
        self.config = config
        self.fill = fill.to(device).view(1, -1, 1, 1)
        coin = torch.randint(0, 2, (num_images,), generator=torch.Generator().manual_seed(seed))
        self.coin = coin.to(device)
        self.generator = torch.Generator(device)

    def start_epoch(self, epoch: int, seed: int) -> None:
        """Reseed, so that a resumed run draws what an uninterrupted one would have drawn.

        Args:
            epoch: counted from 1.
            seed: of this epoch's draws.
        """
        self.epoch = epoch
        self.generator.manual_seed(seed)

    def __call__(self, images: Tensor, positions: Tensor) -> Tensor:
        """Augment one batch.

        Args:
            images: (N, C, H, W) normalized floats, left as they are.
            positions: (N,) place of each image in the training set.

        Returns:
            (N, C, H, W) floats.
        """
        c = self.config
        if c.mirror == "random":
            images = mirror(images, self._uniform(len(images)) < 0.5)
        elif c.mirror == "alternating":
            images = mirror(images, (self.coin[positions] + self.epoch) % 2 == 0)
        if c.rotation_degrees or c.translation or c.scaling:
            images = self._warp(images)
        if c.crop_padding:
            images = self._crop(images)
        if c.erase_probability:
            images = self._erase(images)
        if c.cutout:
            images = self._cutout(images)
        return images

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        draw = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return draw * (high - low) + low

    def _warp(self, images: Tensor) -> Tensor:
        c, n = self.config, len(images)
        angle = torch.deg2rad(self._uniform(n, low=-c.rotation_degrees, high=c.rotation_degrees))
        zoom = 1 + self._uniform(n, low=-c.scaling, high=c.scaling)
        # A translation of the whole side is 2 in the coordinates of `affine_grid`.
        shift = self._uniform(n, 2, low=-2 * c.translation, high=2 * c.translation)
        return affine(images, angle, zoom, shift, self.fill)

    def _crop(self, images: Tensor) -> Tensor:
        n, _, height, width = images.shape
        pad = self.config.crop_padding
        padded = pad_images(images, pad, self.fill)
        corner = (self._uniform(2, n) * (2 * pad + 1)).long()
        # Views of all the places where a crop can lie; one gather takes an image's own.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        image = torch.arange(n, device=images.device)
        return windows[image, :, corner[0], corner[1]]

    def _erase(self, images: Tensor) -> Tensor:
        """Random Erasing (Zhong et al. 2017, arXiv:1708.04896): 2 % to `erase_area` of the image,
        aspect ratio 0.3 to 3.3, filled with noise."""
        n, _, height, width = images.shape
        smallest = min(0.02, self.config.erase_area)
        area = self._uniform(n, low=smallest, high=self.config.erase_area) * height * width
        aspect = torch.exp(self._uniform(n, low=-1.194, high=1.194))
        box_height = (area * aspect).sqrt().clamp(1, height).round()
        box_width = (area / aspect).sqrt().clamp(1, width).round()
        top = (self._uniform(n) * (height - box_height + 1)).floor()
        left = (self._uniform(n) * (width - box_width + 1)).floor()
        inside = boxes(images.shape, top, left, box_height, box_width)
        chosen = self._uniform(n) < self.config.erase_probability
        noise = torch.randn(images.shape, generator=self.generator, device=images.device)
        return torch.where(inside & chosen.view(n, 1, 1, 1), noise, images)

    def _cutout(self, images: Tensor) -> Tensor:
        """Cutout (DeVries and Taylor 2017, arXiv:1708.04552): the square's center is anywhere, so
        that part of it may lie outside; it is set to the mean, which is 0 after normalization."""
        n, _, height, width = images.shape
        side = torch.full((n,), float(self.config.cutout), device=images.device)
        top = (self._uniform(n) * height).floor() - self.config.cutout // 2
        left = (self._uniform(n) * width).floor() - self.config.cutout // 2
        return images.masked_fill(boxes(images.shape, top, left, side, side), 0.0)


def pad_images(images: Tensor, pad: int, fill: Tensor) -> Tensor:
    """(N, C, H, W) images with `pad` pixels of `fill`, (1, C, 1, 1), added on every side."""
    return F.pad(images - fill, (pad, pad, pad, pad)) + fill


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """(N, C, H, W) images, those `chosen` (N,) mirrored left to right."""
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(-1), images)


def affine(images: Tensor, angle: Tensor, zoom: Tensor, shift: Tensor, fill: Tensor) -> Tensor:
    """One bilinear warp about the center that turns, scales and moves each image.

    Args:
        images: (N, C, H, W) floats.
        angle: (N,) radians, counter-clockwise as seen.
        zoom: (N,) factors above 0; 2 shows everything twice as large.
        shift: (N, 2) right and down, where 2 is a whole side.
        fill: value outside the image, broadcastable to `images`.
    """
    height, width = images.shape[-2:]
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # The grid is in units of half a side, so that turning an oblong image needs its aspect ratio.
    aspect = height / width
    theta = torch.stack(
        [
            torch.stack([cos, -sin * aspect, -cos * shift[:, 0] + sin * aspect * shift[:, 1]], 1),
            torch.stack([sin / aspect, cos, -sin / aspect * shift[:, 0] - cos * shift[:, 1]], 1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(
        images - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return warped + fill


def boxes(shape: torch.Size, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """(N, 1, H, W) booleans, true inside one rectangle for each image; sides are (N,) pixels."""
    y = torch.arange(shape[-2], device=top.device).view(1, 1, -1, 1)
    x = torch.arange(shape[-1], device=top.device).view(1, 1, 1, -1)
    top, left, height, width = (side.view(-1, 1, 1, 1) for side in (top, left, height, width))
    return (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
