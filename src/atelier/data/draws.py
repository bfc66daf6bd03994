"""Random numbers from a generator of one's own."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Floats of `shape` on the generator's device, evenly from `low` to `high`."""
    draw = torch.rand(shape, generator=generator, device=generator.device)
    return draw * (high - low) + low
