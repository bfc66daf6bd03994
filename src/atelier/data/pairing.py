"""Batches of labeled images beside batches of images whose labels are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
from torch import Tensor

from .batches import Batch, TrainingBatches, Unlabeled


class PairedBatches:
    """Each batch of unlabeled images with one of labeled images.

    An epoch is a pass over the unlabeled images; the labeled ones, which are mostly fewer, come
    again and again, each time in an order and augmentation of their own.

    Args:
        labeled: what the objective learns from as ever.
        others: their labels stay here. Their `views` are views of the unlabeled images, beside the
            first.
    """

    def __init__(self, labeled: TrainingBatches, others: TrainingBatches) -> None:
        self.labeled = labeled
        self.others = others

    @property
    def batch_size(self) -> int:
        """Images in a batch, of both kinds."""
        return self.labeled.batch_size + self.others.batch_size

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.others)

    def state_dict(self) -> dict[str, Tensor]:
        """What one epoch leaves to the next."""
        return self.labeled.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            KeyError, ValueError: it is of other batches.
        """
        self.labeled.load_state_dict(state)

    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        """The batches of one epoch, counted from 1; the same seed gives the same batches."""
        for batch, other in zip(
            self._again(epoch, seed), self.others.epoch(epoch, seed), strict=False
        ):
            unlabeled = Unlabeled((other.images, *other.views), other.positions)
            yield replace(batch, unlabeled=unlabeled)

    def _again(self, epoch: int, seed: int) -> Iterator[Batch]:
        for number in count(1):
            own = int(np.random.SeedSequence((seed, 0, number)).generate_state(1)[0])
            # Its number, too, goes on, for the alternating mirror.
            yield from self.labeled.epoch(epoch + number, own)
