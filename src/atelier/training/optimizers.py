"""Optimizers by name, with weight decay where it belongs."""

from __future__ import annotations

import torch
from torch import nn

from ..config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam (arXiv:1412.6980), AdamW (arXiv:1711.05101) or SGD with momentum.

    Weight decay is kept off biases, norms and other vectors: shrinking them regularizes nothing.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=config.lr,
            momentum=config.momentum,
            # Nesterov's step is defined by the momentum it looks ahead with.
            nesterov=config.nesterov and config.momentum > 0,
            fused=True,
        )
    adam = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return adam(groups, lr=config.lr, fused=True)
