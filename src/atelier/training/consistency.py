"""Losses of unlabeled images of which two views should get the same answer."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .objectives import Logs


def pi_model(
    logits: list[Tensor], _views: tuple[Tensor, ...], _positions: Tensor
) -> tuple[Tensor, Logs]:
    """The mean squared difference of two views' probabilities (Laine and Aila 2017,
    arXiv:1610.02242, algorithm 1).

    Args:
        logits: (M, K) of both views.
    """
    one, two = (view.softmax(dim=1) for view in logits)
    return F.mse_loss(one, two), {}


class MeanTeacher(nn.Module):
    """The mean squared difference of the network's probabilities to those that a moving average of
    it gives another view (Tarvainen and Valpola 2017, arXiv:1703.01780, equation 1).

    Args:
        model: the network; copied.
        decay: of each step, alpha in the paper; less in the first steps, when there is little to
            remember.
    """

    steps: Tensor

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.teacher = copy.deepcopy(model).requires_grad_(False).train()
        self.decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(
        self, logits: list[Tensor], views: tuple[Tensor, ...], _positions: Tensor
    ) -> tuple[Tensor, Logs]:
        """From the student's (M, K) logits of the first view, and the second view's images."""
        with torch.no_grad():
            target = self.teacher(views[1]).float().softmax(dim=1)
        return F.mse_loss(logits[0].softmax(dim=1), target), {}

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Move the teacher towards `model`."""
        self.steps += 1
        weight = (1 / (self.steps + 1)).clamp(min=1 - self.decay)
        for own, other in zip(self.teacher.parameters(), model.parameters(), strict=True):
            own.lerp_(other, weight)
