"""A Gaussian kernel as features that a linear machine can read."""

from __future__ import annotations

import torch
from torch import Tensor

from .fitted import Fitted


class Nystroem(Fitted):
    """Features whose products come near exp(-gamma |x - y|^2) (Williams & Seeger 2001, "Using the
    Nyström method to speed up kernel machines").

    Args:
        width: D of the inputs.
        components: M, training images that stand for all.
        gamma: of the kernel.

    Attributes:
        components: (M, D).
        normalization: (M, M), the inverse root of the kernel among them.
    """

    components: Tensor
    normalization: Tensor

    def __init__(self, width: int, components: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.register_buffer("components", torch.zeros(components, width))
        self.register_buffer("normalization", torch.eye(components))

    def approximate_by(self, components: Tensor, normalization: Tensor) -> None:
        """Take over what was fitted. Where there are fewer than M, the features of the others are
        0."""
        found = len(components)
        self.components.zero_()[:found] = components
        self.normalization.zero_()[:found, :found] = normalization

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, D) to (N, M)."""
        squares = (
            inputs.square().sum(dim=1, keepdim=True)
            + self.components.square().sum(dim=1)
            - 2 * inputs @ self.components.T
        )
        kernel = (-self.gamma * squares.clamp(min=0)).exp()
        return kernel @ self.normalization.T
