"""What is asked of images of two domains, so that a network takes both alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config.domain_adaptation import SelfTrainingConfig
from ..data.batches import TrainingBatches
from ..models import Classifier
from .objectives import Logs

_BATCH = 512


@dataclass(frozen=True)
class Passes:
    """What the network made of a batch of each domain.

    Attributes:
        source: (N, D) float32 embeddings.
        target: (M, D) float32 embeddings.
        source_logits: (N, K) float32.
        target_logits: (M, K) float32.
        positions: (M,) places of the target's images among its training images.
        progress: share of the training that is over, in 0..1.
    """

    source: Tensor
    target: Tensor
    source_logits: Tensor
    target_logits: Tensor
    positions: Tensor
    progress: float


class Alignment(nn.Module):
    """What is asked of both domains beside the source's labels: here nothing."""

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """A loss to add, and what to log."""
        return passes.target_logits.new_zeros(()), {}

    def after_epoch(self, model: Classifier, progress: float) -> None:
        """Told of each epoch's end, when the batch norms have the target's statistics."""


class DomainDiscriminator(Alignment):
    """Tells the domains apart by the embeddings, which learn to prevent it: its gradient comes back
    to them reversed, times a factor that grows from 0 (Ganin et al. 2016, arXiv:1505.07818,
    equations 10 and 14, gamma = 10).

    Args:
        inputs: D.
        hidden: units of its hidden layer.
        weight: what the factor grows to.
    """

    def __init__(self, inputs: int, hidden: int, weight: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            # Embeddings come in any scale, and the discriminator has one learning rate.
            nn.LayerNorm(inputs, elementwise_affine=False),
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )
        self.weight = weight

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """Binary cross-entropy, each domain with half of the weight."""
        factor = self.weight * (2 / (1 + np.exp(-10 * passes.progress)) - 1)
        both = torch.cat([passes.source, passes.target])
        said = self.layers(reverse_gradient(both, factor)).float()[:, 0]
        source, target = said.split([len(passes.source), len(passes.target)])
        loss = (F.softplus(-source).mean() + F.softplus(target).mean()) / 2
        right = ((source > 0).float().mean() + (target <= 0).float().mean()) / 2
        return loss, {"domain_loss": loss.detach(), "domain_accuracy": right.detach()}


def reverse_gradient(values: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient is multiplied by ``-factor`` on its way back."""
    return (1 + factor) * values.detach() - factor * values


class CovarianceAlignment(Alignment):
    """`coral_distance` between the logits of both domains.

    Args:
        weight: of the distance.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """The weighted distance."""
        distance = coral_distance(passes.source_logits, passes.target_logits)
        return self.weight * distance, {"coral": distance.detach()}


def coral_distance(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference of covariances, over 4 D^2 (Sun and Saenko 2016,
    arXiv:1607.01719, equations 1 to 3).

    Args:
        source: (N, D).
        target: (M, D).
    """
    difference = torch.cov(source.T) - torch.cov(target.T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


class TargetLabels(Alignment):
    """Cross-entropy of the target's images with pseudo-labels, which are chosen anew after each
    epoch by `balanced_labels` (Zou et al. 2018, arXiv:1810.07911).

    Args:
        batches: of the target.
        options: weight and shares.
    """

    labels: Tensor

    def __init__(self, batches: TrainingBatches, options: SelfTrainingConfig) -> None:
        super().__init__()
        self.batches = batches
        self.options = options
        none = torch.full((len(batches.chosen),), -1, device=batches.chosen.device)
        self.register_buffer("labels", none)

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """The mean over all images, those without a pseudo-label counting 0."""
        labels = self.labels[passes.positions]
        taken = (labels >= 0).float().mean()
        loss = F.cross_entropy(passes.target_logits, labels, ignore_index=-1, reduction="none")
        weighted = self.options.weight * loss.mean()
        return weighted, {"target_loss": weighted.detach(), "taken": taken}

    @torch.no_grad()
    def after_epoch(self, model: Classifier, progress: float) -> None:
        """Choose the pseudo-labels of the next epoch."""
        was_training = model.training
        model.eval()
        parts = torch.split(self.batches.chosen, _BATCH)
        normalize, images = self.batches.normalize, self.batches.images
        probs = [model(normalize(images[part])).float().softmax(dim=1) for part in parts]
        model.train(was_training)
        first, last = self.options.first_share, self.options.last_share
        self.labels.copy_(balanced_labels(torch.cat(probs), first + progress * (last - first)))


def balanced_labels(probs: Tensor, share: float) -> Tensor:
    """Pseudo-labels for the most confident images of each class.

    A class's threshold is the probability that a `share` of the images which are taken for it
    reach. Then each image gets the class whose probability is largest as a multiple of its
    threshold, and no label if it is below 1 (arXiv:1810.07911, equation 10 and algorithm 2).

    Args:
        probs: (M, K).
        share: in 0..1.

    Returns:
        (M,) int64, -1 where an image gets none.
    """
    confidence, likeliest = probs.max(dim=1)
    thresholds = torch.full_like(probs[0], float("inf"))
    for label in torch.unique(likeliest).tolist():
        own = confidence[likeliest == label].sort(descending=True).values
        thresholds[label] = own[max(0, round(share * len(own)) - 1)]
    multiple, labels = (probs / thresholds).max(dim=1)
    return torch.where(multiple >= 1, labels, -1)
