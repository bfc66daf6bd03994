"""Augmentation of whole batches on the training device, each image with its own random draw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..config import AugmentConfig
from . import color, geometry, policies
from .augmix import augmix
from .draws import uniform
from .resolution import Growth


class Augmenter:
    """Applies an `AugmentConfig` to batches of normalized images.

    Args:
        config: what to do.
        fill: (C,) normalized value of the background that comes in at the edges.
        num_images: size of the training set, for the alternating mirror.
        seed: of the alternating mirror's first coin.
        device: of the images.
        mean: of each channel, as a share of 255, that normalizing took away; None is 0.
        std: of each channel, as a share of 255, that normalizing divided by; None is 1.
        growth: gives the size of each epoch's images; None leaves it.
    """

    def __init__(
        self,
        config: AugmentConfig,
        fill: Tensor,
        num_images: int,
        seed: int,
        device: torch.device,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        growth: Growth | None = None,
    ) -> None:
        self.config = config
        self.fill = fill.to(device).view(1, -1, 1, 1)
        channels = self.fill.shape[1]
        self.mean = torch.tensor(mean or [0.0] * channels, device=device)
        # A constant channel was not divided by its deviation.
        self.std = torch.tensor([s or 1.0 for s in std or [1.0] * channels], device=device)
        self.growth = growth
        coin = torch.randint(0, 2, (num_images,), generator=torch.Generator().manual_seed(seed))
        self.coin = coin.to(device)
        self.generator = torch.Generator(device)
        c = config
        self._one_chain = c.policy in ("randaugment", "trivialaugment")
        self._moves = bool(c.rotation_degrees or c.translation or c.scaling)
        self._crops = c.resized_crop < 1 or c.aspect > 0
        self._warps = self._moves or self._crops or c.perspective > 0 or self._one_chain
        self._recolors = bool(
            c.brightness or c.contrast or c.saturation or c.hue or c.tint or c.grayscale
        )
        self._edge = None if c.edge == "reflect" else self.fill

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
            (N, C, H, W) floats, of the epoch's size where that grows.
        """
        c, height = self.config, images.shape[-2]
        if c.mirror == "random":
            images = geometry.mirror(images, self._uniform(len(images)) < 0.5)
        elif c.mirror == "alternating":
            images = geometry.mirror(images, (self.coin[positions] + self.epoch) % 2 == 0)
        drawn = self._draw_policy(len(images))
        images = self._move(images, drawn)
        if drawn is not None:
            images = self._recolor_drawn(images, drawn)
        elif c.policy == "augmix":
            images = augmix(
                images, self._apply, strength=c.policy_strength, generator=self.generator
            )
        if self._recolors:
            images = self._recolor(images)
        if c.light:
            strength = self._uniform(len(images), high=c.light)
            angle = self._uniform(len(images), high=2 * math.pi)
            images = color.shade(images, strength, angle, self.mean, self.std)
        if c.erase_probability:
            images = self._erase(images)
        if c.cutout:
            images = self._cutout(images, round(c.cutout * images.shape[-2] / height))
        warped = self._warps or c.policy == "augmix"
        if warped or self._recolors or self.growth is not None:
            # As convolutions on a CPU like best; a warp and a change of colors lose it.
            images = images.contiguous(memory_format=torch.channels_last)
        return images

    def _uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return uniform(self.generator, *shape, low=low, high=high)

    def _draw_policy(self, count: int) -> policies.Drawn | None:
        c = self.config
        if c.policy == "trivialaugment":
            return policies.trivial_augment(count, self.generator)
        if c.policy == "randaugment":
            return policies.rand_augment(
                count,
                operations=c.policy_operations,
                strength=c.policy_strength,
                generator=self.generator,
            )
        return None

    def _apply(self, images: Tensor, drawn: policies.Drawn) -> Tensor:
        """Do all that was drawn, to images that are in their place already."""
        height, width = images.shape[-2:]
        matrices = drawn.matrices(height / width)
        moved = geometry.warp(images, matrices, self._edge, size=(height, width))
        return self._recolor_drawn(moved, drawn)

    def _recolor_drawn(self, images: Tensor, drawn: policies.Drawn) -> Tensor:
        mean, std = self.mean.view(-1, 1, 1), self.std.view(-1, 1, 1)
        return (drawn.recolor((images * std + mean).clamp_(0, 1)) - mean) / std

    def _move(self, images: Tensor, drawn: policies.Drawn | None) -> Tensor:
        """Do all that takes pixels from elsewhere, and come to the epoch's size."""
        c = self.config
        full = (images.shape[-2], images.shape[-1])
        size = full if self.growth is None else self.growth.size(self.epoch)
        if self._warps:
            matrices = self._matrices(len(images), full[0] / full[1], drawn)
            # Padding is meant in pixels of the full size, and so comes before a smaller one.
            now = full if c.crop_padding else size
            images = geometry.warp(images, matrices, self._edge, size=now)
        if c.crop_padding:
            images = self._crop(images)
        return geometry.resize(images, size)

    def _matrices(self, n: int, aspect: float, drawn: policies.Drawn | None) -> Tensor:
        c = self.config
        total = torch.eye(3, device=self.fill.device).expand(n, 3, 3)
        if self._moves:
            angle = torch.deg2rad(
                self._uniform(n, low=-c.rotation_degrees, high=c.rotation_degrees)
            )
            zoom = 1 + self._uniform(n, low=-c.scaling, high=c.scaling)
            # A translation of the whole side is 2 in the units of a warp.
            shift = self._uniform(n, 2, low=-2 * c.translation, high=2 * c.translation)
            total = geometry.affine(angle, zoom, shift, aspect)
        if self._crops:
            area = self._uniform(n, low=c.resized_crop)
            limit = math.log1p(c.aspect)
            stretch = torch.exp(self._uniform(n, low=-limit, high=limit))
            place = self._uniform(n, 2, low=-1)
            total = geometry.crop(area, stretch, place) @ total
        if drawn is not None:
            total = total @ drawn.matrices(aspect)
        if c.perspective:
            tilt = self._uniform(n, 2, low=-c.perspective, high=c.perspective)
            total = total @ geometry.perspective(tilt)
        return total

    def _crop(self, images: Tensor) -> Tensor:
        n, _, height, width = images.shape
        pad = self.config.crop_padding
        padded = geometry.pad_images(images, pad, self._edge)
        corner = (self._uniform(2, n) * (2 * pad + 1)).long()
        # Views of all the places where a crop can lie; one gather takes an image's own.
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)
        image = torch.arange(n, device=images.device)
        return windows[image, :, corner[0], corner[1]]

    def _recolor(self, images: Tensor) -> Tensor:
        c, (n, channels) = self.config, images.shape[:2]
        luma = color.luma_of(channels, images.device)
        light = 1 + self._uniform(n, 1, low=-c.brightness, high=c.brightness)
        cast = 1 + self._uniform(n, channels, low=-c.tint, high=c.tint)
        maps = color.gain(light * cast if channels > 1 else light)
        if c.contrast:
            factors = 1 + self._uniform(n, low=-c.contrast, high=c.contrast)
            mean = images.mean((2, 3)) * self.std + self.mean
            grey = (mean * light * (cast if channels > 1 else 1)) @ luma
            maps = color.contrast(factors, grey, channels) @ maps
        if c.saturation:
            factors = 1 + self._uniform(n, low=-c.saturation, high=c.saturation)
            maps = color.saturation(factors, luma) @ maps
        if c.hue and channels == 3:
            maps = color.hue(self._uniform(n, low=-c.hue, high=c.hue)) @ maps
        if c.grayscale:
            colored = (self._uniform(n) >= c.grayscale).float()
            maps = color.saturation(colored, luma) @ maps
        return color.recolor(images, maps, self.mean, self.std)

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
        inside = geometry.boxes(images.shape, top, left, box_height, box_width)
        chosen = self._uniform(n) < self.config.erase_probability
        noise = torch.randn(images.shape, generator=self.generator, device=images.device)
        return torch.where(inside & chosen.view(n, 1, 1, 1), noise, images)

    def _cutout(self, images: Tensor, pixels: int) -> Tensor:
        """Cutout (DeVries and Taylor 2017, arXiv:1708.04552): the square's center is anywhere, so
        that part of it may lie outside; it is set to the mean, which is 0 after normalization."""
        n, _, height, width = images.shape
        side = torch.full((n,), float(pixels), device=images.device)
        top = (self._uniform(n) * height).floor() - pixels // 2
        left = (self._uniform(n) * width).floor() - pixels // 2
        return images.masked_fill(geometry.boxes(images.shape, top, left, side, side), 0.0)
