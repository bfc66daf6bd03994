"""Objectives: functions of (model, batch) that return a loss and what to log."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.batches import Batch

Logs = dict[str, Tensor]
Objective = Callable[[nn.Module, Batch], tuple[Tensor, Logs]]
"""Returns a scalar loss to go down, and scalars whose mean over the epoch is logged."""


def supervised(*, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> Objective:
    """Cross-entropy with the labels; of a mixed image, with those of both in it, each by its share.

    Args:
        label_smoothing: share of the target spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567).
        class_weights: (K,) weight of each class in the mean.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(batch.images).float()  # the loss needs more than bfloat16's 8 bits
        return with_labels(
            logits, batch, label_smoothing=label_smoothing, class_weights=class_weights
        )

    return objective


def with_labels(
    logits: Tensor,
    batch: Batch,
    *,
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> tuple[Tensor, Logs]:
    """The loss of `supervised`, from (N, K) float32 logits that are there already."""

    def losses(labels: Tensor) -> Tensor:
        return F.cross_entropy(
            logits,
            labels,
            weight=class_weights,
            label_smoothing=label_smoothing,
            reduction="none",
        )

    loss = mean_loss(losses, batch, class_weights)
    return loss, {"loss": loss.detach(), "accuracy": accuracy_of(logits, batch)}


def each_member(*, label_smoothing: float = 0.0, class_weights: Tensor | None = None) -> Objective:
    """Cross-entropy of every member of an ensemble for itself (Lakshminarayanan et al. 2017,
    arXiv:1612.01474); the logged accuracy is that of their mean. Takes what `supervised` takes.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(batch.images, each=True).float()

        def losses(labels: Tensor) -> Tensor:
            every = F.cross_entropy(
                logits.flatten(0, 1),
                labels.repeat_interleave(logits.shape[1]),
                weight=class_weights,
                label_smoothing=label_smoothing,
                reduction="none",
            )
            return every.view(logits.shape[:2]).mean(dim=1)

        loss = mean_loss(losses, batch, class_weights)
        # A sum over the members, so that each has the gradient that it would have alone.
        logs = {"loss": loss.detach(), "accuracy": accuracy_of(logits.mean(dim=1), batch)}
        return loss * logits.shape[1], logs

    return objective


def mean_loss(
    losses_of: Callable[[Tensor], Tensor], batch: Batch, class_weights: Tensor | None
) -> Tensor:
    """The loss of a batch, as it counts its images.

    Args:
        losses_of: from (N,) labels to (N,) losses, which have their class's weight in them.
    """
    losses = losses_of(batch.labels)
    observed = losses.detach()
    counts = None if class_weights is None else class_weights[batch.labels]
    if batch.weights is not None:
        losses = losses * batch.weights
    if batch.mixed is not None:
        partners, share = batch.mixed
        others = losses_of(batch.labels[partners])
        observed = others.detach().lerp(observed, share)
        if batch.weights is not None:
            others = others * batch.weights[partners]
        losses = others.lerp(losses, share)
        if counts is not None:
            counts = counts[partners].lerp(counts, share)
    if batch.observe is not None:
        batch.observe(observed)
    return losses.mean() if counts is None else losses.sum() / counts.sum()


@torch.no_grad()
def accuracy_of(logits: Tensor, batch: Batch) -> Tensor:
    """Of (N, K) logits; for a mixed image, the share of it whose label is predicted."""
    predicted = logits.argmax(dim=1)
    right = (predicted == batch.labels).float()
    if batch.mixed is not None:
        partners, share = batch.mixed
        right = (predicted == batch.labels[partners]).float().lerp(right, share)
    return right.mean()


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
