"""Objectives: functions of (model, batch) that return a loss and what to log."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import Batch

Logs = dict[str, Tensor]
Objective = Callable[[nn.Module, Batch], tuple[Tensor, Logs]]
"""Returns a scalar loss to go down, and scalars whose mean over the epoch is logged."""


def supervised(*, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> Objective:
    """Cross-entropy with the labels.

    Args:
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567).
        class_weights: (K,) weight of each class in the mean.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(batch.images).float()  # the loss needs more than bfloat16's 8 bits
        losses = F.cross_entropy(
            logits,
            batch.labels,
            weight=class_weights,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        loss = _mean(losses, batch, class_weights)
        accuracy = (logits.detach().argmax(dim=1) == batch.labels).float().mean()
        return loss, {"loss": loss.detach(), "accuracy": accuracy}

    return objective


def each_member(*, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> Objective:
    """Cross-entropy of every member of an ensemble for itself (Lakshminarayanan et al. 2017,
    arXiv:1612.01474); the logged accuracy is that of their mean. Takes what `supervised` takes.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(batch.images, each=True).float()
        losses = F.cross_entropy(
            logits.flatten(0, 1),
            batch.labels.repeat_interleave(logits.shape[1]),
            weight=class_weights,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        loss = _mean(losses.view(logits.shape[:2]).mean(dim=1), batch, class_weights)
        accuracy = (logits.detach().mean(dim=1).argmax(dim=1) == batch.labels).float().mean()
        # A sum over the members, so that each has the gradient that it would have alone.
        return loss * logits.shape[1], {"loss": loss.detach(), "accuracy": accuracy}

    return objective


def _mean(losses: Tensor, batch: Batch, class_weights: Tensor | None) -> Tensor:
    """Of (N,) losses, which have their class's weight in them, as the batch counts its images."""
    if batch.observe is not None:
        batch.observe(losses.detach())
    if batch.weights is not None:
        losses = losses * batch.weights
    if class_weights is None:
        return losses.mean()
    return losses.sum() / class_weights[batch.labels].sum()


def balanced_class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """(K,) weights inverse to each class's frequency, of mean 1 over the images.

    Args:
        labels: (N,) int64.
        num_classes: K.
    """
    counts = labels.bincount(minlength=num_classes)
    present = (counts > 0).sum()
    # A class without images is never asked for, whatever its weight.
    return len(labels) / (present * counts.clamp(min=1)).float()
