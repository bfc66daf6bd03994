"""The one shape that every network has: features, then a linear head."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

ImageShape = tuple[int, int, int]
"""Channels, height and width."""


class Classifier(nn.Module):
    """A network of two parts.

    Args:
        features: maps (N, C, H, W) images to (N, D) embeddings.
        head: maps embeddings to (N, K) logits.
        members: in how many parts of equal width, one behind the other, `features` come from
            networks of their own, which `head` averages.
    """

    def __init__(self, features: nn.Module, head: nn.Linear, *, members: int = 1) -> None:
        super().__init__()
        self.features = features
        self.head = head
        self.members = members

    def train(self, mode: bool = True) -> Self:
        """As ever, but what is frozen whole stays in evaluation mode: its batch norms would go on
        moving, and its dropout would be noise that nothing learns from."""
        super().train(mode)
        for module in self.features.modules():
            own = list(module.parameters())
            if own and not any(p.requires_grad for p in own):
                module.eval()
        return self

    def forward(self, images: Tensor, *, each: bool = False) -> Tensor:
        """(N, C, H, W) float images to (N, K) logits, or to (N, members, K): `each` member's own.

        Their mean is what the head gives, if it is linear and without a bias.
        """
        features: Tensor = self.features(images)
        if each:
            parts = features.view(len(images), self.members, -1)
            weights = self.head.weight.view(len(self.head.weight), self.members, -1)
            return self.members * torch.einsum("nmd,kmd->nmk", parts, weights)
        logits: Tensor = self.head(features)
        return logits


@torch.no_grad()
def output_shape(module: nn.Module, image_shape: ImageShape) -> torch.Size:
    """The shape of what `module` makes of one image, found by trying.

    Raises:
        ValueError: the image is too small for the module's strides and poolings.
    """
    was_training = module.training
    try:
        shape: torch.Size = module.eval()(torch.zeros(1, *image_shape)).shape
    except RuntimeError as error:
        raise ValueError(
            f"images of {image_shape[1]} x {image_shape[2]} pixels are too small for it"
        ) from error
    finally:
        module.train(was_training)
    return shape
