"""Losses of unlabeled images whose labels the network itself guesses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .objectives import Logs

_ALIGN_DECAY = 0.99


class PseudoLabels(nn.Module):
    """Cross-entropy with the likeliest class of the same view (Lee 2013, equation 16).

    Args:
        threshold: least probability of that class for an image to count.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(
        self, logits: list[Tensor], _views: tuple[Tensor, ...], _positions: Tensor
    ) -> tuple[Tensor, Logs]:
        """From the (M, K) logits of one view."""
        confidence, labels = logits[0].detach().softmax(dim=1).max(dim=1)
        counts = (confidence >= self.threshold).float()
        return _masked(logits[0], labels, counts), {"taken": counts.mean()}


class ThresholdedLabels(nn.Module):
    """Cross-entropy of the strong view with the likeliest class of the weak one, where its
    probability reaches a threshold (FixMatch, Sohn et al. 2020, arXiv:2001.07685, equation 4).

    Args:
        threshold: tau in the paper.
        target: (K,) how frequent each class should be on average; None leaves probabilities as
            they are. Else they are multiplied by it over their running mean (distribution
            alignment, Berthelot et al. 2020, arXiv:1911.09785, section 3.1).
    """

    target: Tensor | None
    mean: Tensor | None

    def __init__(self, threshold: float, *, target: Tensor | None = None) -> None:
        super().__init__()
        self.threshold = threshold
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("mean", None if target is None else target.clone())

    def forward(
        self, logits: list[Tensor], _views: tuple[Tensor, ...], positions: Tensor
    ) -> tuple[Tensor, Logs]:
        """From the (M, K) logits of the weak and of the strong view."""
        weak, strong = logits
        with torch.no_grad():
            confidence, labels = self._aligned(weak.detach().softmax(dim=1)).max(dim=1)
            counts = self._counts(confidence, labels, positions).float()
        return _masked(strong, labels, counts), {"taken": counts.mean()}

    def _aligned(self, probs: Tensor) -> Tensor:
        if self.target is None or self.mean is None:
            return probs
        self.mean.lerp_(probs.mean(dim=0), 1 - _ALIGN_DECAY)
        moved = probs * (self.target / self.mean.clamp(min=1e-6))
        return moved / moved.sum(dim=1, keepdim=True)

    def _counts(self, confidence: Tensor, _labels: Tensor, _positions: Tensor) -> Tensor:
        """(M,) bool: which images are learned."""
        return confidence >= self.threshold


class FlexMatch(ThresholdedLabels):
    """FixMatch with a threshold for each class: tau times M(beta), M(x) = x / (2 - x), where beta
    is how many images were last given the class with a probability above tau, as a share of the
    class with the most of them, or of the images that were given none if these are more (Zhang et
    al. 2021, arXiv:2110.08263, equations 5 to 12).

    Args:
        threshold: tau.
        num_images: of all unlabeled ones.
        num_classes: K.
        target: as of `ThresholdedLabels`.
    """

    given: Tensor

    def __init__(
        self, threshold: float, *, num_images: int, num_classes: int, target: Tensor | None = None
    ) -> None:
        super().__init__(threshold, target=target)
        self.num_classes = num_classes
        # The class that each image was last given, and K where none yet.
        self.register_buffer("given", torch.full((num_images,), num_classes))

    def thresholds(self) -> Tensor:
        """(K,) of each class at this time."""
        # Not by bincount, which has to wait for a GPU.
        counts = self.given.new_zeros(self.num_classes + 1)
        counts.index_add_(0, self.given, torch.ones_like(self.given))
        beta = counts[:-1] / counts.max()
        return self.threshold * beta / (2 - beta)

    def _counts(self, confidence: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
        taken = confidence >= self.thresholds()[labels]
        sure = confidence >= self.threshold
        self.given[positions] = torch.where(sure, labels, self.given[positions])
        return taken


def _masked(logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """The mean over all images of the cross-entropy of those that count."""
    return (F.cross_entropy(logits, labels, reduction="none") * counts).mean()
