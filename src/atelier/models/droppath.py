"""Stochastic depth: residual branches that are left out of some images' training steps (Huang et
al. 2016, arXiv:1603.09382)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves a residual branch out, for each image by its own draw; nothing in evaluation.

    What stays is divided by its probability, so that the branch's mean is the same in training and
    evaluation: the paper scales in evaluation instead (equation 5).

    Args:
        rate: probability that an image's branch is left out, 1 - p_l of the paper; below 1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(N, ...) to (N, ...)."""
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        each = (len(branch), *[1] * (branch.ndim - 1))
        # Drawn in float32 whatever the precision: bfloat16 would round the share.
        kept = torch.rand(each, device=branch.device) < keep
        return branch * kept.to(branch.dtype).div(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def drop_rates(last: float, blocks: int) -> list[float]:
    """The rate of each block, from 0 at the first to `last` at the last, linearly (the paper's
    equation 4, whose first block is dropped too: here the input's neighbor is always kept)."""
    return [last * block / max(1, blocks - 1) for block in range(blocks)]
