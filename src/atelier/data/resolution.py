"""Images that grow in the course of a training."""

from __future__ import annotations

_STEP = 16


class Growth:
    """From small images to the full size, in steps of 16 pixels (progressive resizing, as in
    EfficientNetV2, Tan and Le 2021, arXiv:2104.00298).

    Args:
        start: longer side of the first epoch's images in pixels, at most that of the full ones.
        until: share of the epochs at whose end the full size is reached, above 0.
        num_epochs: of the training.
        full: height and width.
    """

    def __init__(self, start: int, until: float, num_epochs: int, full: tuple[int, int]) -> None:
        self.start = start
        self.grown = until * num_epochs
        self.full = full

    def size(self, epoch: int) -> tuple[int, int]:
        """Height and width of an epoch's images, counted from 1."""
        full = max(self.full)
        share = (epoch - 1) / self.grown
        if share >= 1:
            return self.full
        side = self.start + int(share * (full - self.start)) // _STEP * _STEP
        height, width = (max(1, round(side * pixels / full)) for pixels in self.full)
        return height, width
