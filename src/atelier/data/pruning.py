"""Leaving out, for an epoch, images that the network has learned already."""

from __future__ import annotations

import torch
from torch import Tensor


class Pruning:
    """Unbiased dynamic data pruning (InfoBatch, Qin et al. 2024, arXiv:2303.04947).

    An image whose last loss lies below the mean is left out of an epoch with probability `share`;
    those of them that stay count ``1 / (1 - share)``, so that the gradient is the same on average.
    The first epoch and those after `last_epoch` see all images.

    Args:
        share: of the easy images, in 0..1.
        last_epoch: the last one, counted from 1, that leaves something out.
        num_images: N.
        device: of the training.
    """

    def __init__(self, share: float, last_epoch: int, num_images: int, device: torch.device):
        self.share = share
        self.last_epoch = last_epoch
        # What was never seen, as the rest of the first epoch's last batch, is not known to be easy.
        self.losses = torch.full((num_images,), torch.inf, device=device)

    def __call__(self, order: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """What stays of an epoch's `order`, (N,) positions, in that order."""
        if epoch > self.last_epoch:
            return order
        # A coin for each position, on the CPU, as the order itself is drawn.
        out = torch.rand(len(self.losses), generator=generator) < self.share
        return order[~(out.to(order.device) & self._easy())[order]]

    def weights(self, epoch: int) -> Tensor | None:
        """(N,) what each image counts in this epoch's means, by the losses of the epochs before;
        None where each counts the same."""
        if epoch > self.last_epoch:
            return None
        return torch.where(self._easy(), 1 / (1 - self.share), 1.0)

    def observe(self, positions: Tensor, losses: Tensor) -> None:
        """Keep the (B,) losses of the images at (B,) `positions`."""
        self.losses[positions] = losses.to(self.losses)

    def _easy(self) -> Tensor:
        known = self.losses.isfinite()
        return self.losses < self.losses[known].mean()
