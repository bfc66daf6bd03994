"""Which images an epoch takes, and how often."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """As many positions as there are images, each class as often as the others, in random order.

    No image is taken a second time before all of its class were taken once, so that those of a
    large class come at most once, and those of a small one evenly often.

    Args:
        labels: (N,) int64.
        generator: on the CPU.

    Returns:
        (N,) int64 positions. Where N does not divide evenly, some classes by lot have one more.
    """
    labels = labels.cpu()
    classes = labels.bincount().nonzero().flatten()
    shares = torch.full((len(classes),), len(labels) // len(classes))
    more = torch.randperm(len(classes), generator=generator)[: len(labels) % len(classes)]
    shares[more] += 1
    taken = []
    for label, share in zip(classes.tolist(), shares.tolist(), strict=True):
        members = (labels == label).nonzero().flatten()
        for start in range(0, share, len(members)):
            order = torch.randperm(len(members), generator=generator)
            taken.append(members[order[: share - start]])
    together = torch.cat(taken)
    return together[torch.randperm(len(together), generator=generator)]
