"""What the modules of classical models have in common: numbers that no gradient finds."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Fitted(nn.Module):
    """A module whose buffers are found by fitting. Their sizes are known only then, so that loading
    takes over those of what is loaded."""

    def hold(self, **tensors: Tensor) -> None:
        """Replace buffers, each in the type and on the device that it has."""
        for name, tensor in tensors.items():
            setattr(self, name, tensor.to(self.get_buffer(name)))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **options: Any
    ) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            given = state_dict.get(prefix + name)
            if given is not None and given.ndim == buffer.ndim:
                setattr(self, name, buffer.new_empty(given.shape))
        super()._load_from_state_dict(state_dict, prefix, *args, **options)


class Pixels(nn.Module):
    """Normalized floats back to the bytes that they were, as whole floats.

    Args:
        channels: of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))

    def hold(self, mean: Tensor, scale: Tensor) -> None:
        """Take over what a `Normalizer` does, to undo it."""
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C * H * W)."""
        return (images / self.scale + self.mean).round().flatten(1)


def as_it_is(num_classes: int) -> nn.Linear:
    """A head that passes on K logits, for models that end in them."""
    head = nn.Linear(num_classes, num_classes).requires_grad_(False)
    nn.init.eye_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def log_shares(votes: Tensor, smoothing: float) -> Tensor:
    """(N, K) votes to the logarithms of their shares, each class with `smoothing` votes more
    (Laplace's rule, where that is 1), so that their softmax is the shares again."""
    votes = votes + smoothing
    return (votes / votes.sum(dim=1, keepdim=True)).log()


def num_fitted(model: nn.Module) -> int:
    """How many numbers fitting has found, of all fitted modules in `model`."""
    return sum(
        buffer.numel()
        for module in model.modules()
        if isinstance(module, Fitted)
        for buffer in module.buffers(recurse=False)
    )
