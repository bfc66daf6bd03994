"""Many decision trees as flat tensors, walked by a whole batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from .fitted import Fitted, Pixels, log_shares


class Trees(Fitted):
    """From images to the leaves that they fall into.

    Nodes of all trees are numbered in one row: I inner ones, then the L leaves.

    Args:
        channels: of the images.

    Attributes:
        feature: (I,) which value of the image is looked at.
        threshold: (I,) uint8; a value above it goes right.
        left: (I,) number of the next node.
        right: (I,) likewise.
        roots: (T,) number of each tree's first node.
        levels: (D,) how many nodes of all trees lie at each depth above the deepest leaf; D is the
            number of steps that a walk takes.
    """

    feature: Tensor
    threshold: Tensor
    left: Tensor
    right: Tensor
    roots: Tensor
    levels: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pixels = Pixels(channels)
        for name in ("feature", "left", "right", "roots", "levels"):
            self.register_buffer(name, torch.zeros(1, dtype=torch.int32))
        self.register_buffer("threshold", torch.zeros(1, dtype=torch.uint8))
        # One tree whose only split leads to its only leaf.
        self.left.fill_(1)
        self.right.fill_(1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) normalized floats to (N, T) int64 in 0..L-1."""
        pixels = self.pixels(images)
        inner = len(self.feature)
        # Not `len`, which an export would take for a fixed number.
        at = self.roots.long().expand(pixels.shape[0], -1)
        for _ in range(len(self.levels)):
            node = at.clamp(max=inner - 1)
            value = pixels.gather(1, self.feature[node].long())
            goes_right = value > self.threshold[node].to(value.dtype)
            child = torch.where(goes_right, self.right[node], self.left[node]).long()
            at = torch.where(at < inner, child, at)
        return at - inner


class Forest(Fitted):
    """The logarithms of the shares that the trees vote for (Breiman 2001, "Random forests"): each
    tree gives every class its share of the training images in the leaf.

    Args:
        channels: of the images.
        num_classes: K.
        smoothing: votes that each class has before.

    Attributes:
        leaves: (L, K) shares.
    """

    leaves: Tensor

    def __init__(self, channels: int, num_classes: int, smoothing: float) -> None:
        super().__init__()
        self.trees = Trees(channels)
        self.smoothing = smoothing
        self.register_buffer("leaves", torch.full((1, num_classes), 1 / num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K)."""
        return log_shares(self.leaves[self.trees(images)].sum(dim=1), self.smoothing)


class BoostedTrees(Fitted):
    """Sums of leaves, whose softmax is the probabilities (Friedman 2001, "Greedy function
    approximation: a gradient boosting machine", algorithm 6).

    Args:
        channels: of the images.
        num_classes: K.

    Attributes:
        leaves: (L,) what each adds to the logit of its tree's class. Trees of class 0 to K-1 follow
            each other in each iteration.
        start: (K,) what all images begin with.
    """

    leaves: Tensor
    start: Tensor

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.trees = Trees(channels)
        self.trees.hold(roots=torch.ones(num_classes))
        self.register_buffer("leaves", torch.zeros(1))
        self.register_buffer("start", torch.zeros(num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, K)."""
        added = self.leaves[self.trees(images)]
        of_iterations = added.view(added.shape[0], -1, self.start.shape[0])
        return of_iterations.sum(dim=1) + self.start
