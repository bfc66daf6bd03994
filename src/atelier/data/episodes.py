"""Episodes: batches of a few classes, with a few images of each to know it by and others to ask."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..errors import ConfigError
from .batches import Batch, TrainingBatches


class EpisodeBatches:
    """Batches whose images lie class by class, the shots of each class before its queries (Vinyals
    et al. 2016, arXiv:1606.04080).

    Classes are drawn for each episode, and then different images of each; all augmented.

    Args:
        batches: what to draw from; its own order and size are not used.
        ways: classes of an episode.
        shots: images of each class to know it by.
        queries: other images of each class.
        episodes: of an epoch.
        rotations: whether a class turned by a quarter, a half and three quarters is three more
            classes; the labels of the batches are those of the upright one.

    Raises:
        ConfigError: there are too few classes, a class has too few images, or images that are to be
            turned are not square.
    """

    def __init__(
        self,
        batches: TrainingBatches,
        *,
        ways: int,
        shots: int,
        queries: int,
        episodes: int,
        rotations: bool = False,
    ) -> None:
        self.batches = batches
        self.ways = ways
        labels = batches.labels.cpu()
        counts = labels.bincount()
        present = counts.nonzero().flatten().tolist()
        self._members = [(labels == label).nonzero().flatten() for label in present]
        fewest = min(map(len, self._members))
        self._turns = 4 if rotations else 1
        height, width = batches.images.shape[2:]
        if rotations and height != width:
            raise ConfigError(
                "images that are turned by a quarter must be square",
                got=f"{height} x {width} pixels",
                fix="Set method.rotations=false",
            )
        most = self._turns * len(present)
        if ways > most:
            raise ConfigError(
                "an episode cannot have more classes than there are to train on",
                got=ways,
                allowed=f"up to {most}",
                fix="Set method.ways, or hold out fewer with train.held_out",
            )
        if shots + queries > fewest:
            raise ConfigError(
                "an episode takes shots and queries of each class",
                got=f"{shots} + {queries} images",
                allowed=f"up to {fewest}, as many as the smallest class has",
                fix="Set method.shots or method.queries",
            )
        self._each = shots + queries
        self._episodes = episodes
        self.batch_size = ways * self._each

    def __len__(self) -> int:
        """Episodes in an epoch."""
        return self._episodes

    def state_dict(self) -> dict[str, Tensor]:
        """What one epoch leaves to the next: nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            ValueError: it is of other batches.
        """
        if state:
            raise ValueError(f"episodes keep nothing, and got {', '.join(state)}")

    @torch.no_grad()
    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        """The episodes of one epoch, counted from 1; the same seed gives the same ones."""
        source = self.batches
        source.augment.start_epoch(epoch, seed)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(len(self)):
            drawn = torch.randperm(self._turns * len(self._members), generator=generator)
            ways = [divmod(number, self._turns) for number in drawn[: self.ways].tolist()]
            some = [_some(self._members[member], self._each, generator) for member, _ in ways]
            positions = torch.cat(some).to(source.labels.device)
            images = source.normalize(source.images[source.chosen[positions]])
            images = source.augment(images, positions)
            if self._turns > 1:
                upright = torch.split(images, self._each)
                turned = [
                    own.rot90(turns, (2, 3)) for own, (_, turns) in zip(upright, ways, strict=True)
                ]
                images = torch.cat(turned).contiguous(memory_format=torch.channels_last)
            yield Batch(images, source.labels[positions], positions)


def _some(members: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` different ones of (N,) members."""
    chosen: Tensor = members[torch.randperm(len(members), generator=generator)[:count]]
    return chosen
