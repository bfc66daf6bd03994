"""How long an epoch takes here, found by a few steps of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import Recipe
from ..data import Dataset
from ..data.batches import Batch
from ..devices import resolve_precision
from ..progress import progress_bar
from .checkpoints import TrainingState
from .loop import Batches, fit
from .methods import learner_of
from .optimizers import build_optimizer
from .preparation import prepare

_WARM_UP = 5  # steps; the first ones choose algorithms, fill caches and record a step for a GPU
_ENOUGH = 3.0  # seconds of steps that are counted


def seconds_per_epoch(recipe: Recipe, dataset: Dataset, device: torch.device) -> float:
    """The seconds of an epoch of this training, without its measuring on validation images.

    Some seconds of it are trained and thrown away.

    Args:
        recipe: of the training.
        dataset: what it names.
        device: of the training.

    Raises:
        ConfigError: the network does not fit the images, or the method the training.
    """
    prepared = prepare(recipe, dataset, device)
    learner = learner_of(prepared, recipe)
    optimizer = build_optimizer(learner.model, recipe.train, learner.objective)
    # An epoch to warm up, one that says how many steps are enough, and the one that counts: all in
    # one training, so that what happens once is over by then.
    once = {"num_epochs": 3, "warmup_epochs": 0, "keep": "last", "patience": 0}
    batches = _First(learner.batches, _WARM_UP, epoch_number=recipe.train.num_epochs)

    def after_epoch(state: TrainingState) -> None:
        if len(state.history) == 2:
            step = state.history[-1]["seconds"] / batches.steps
            batches.limit = max(_WARM_UP, round(_ENOUGH / step))

    with progress_bar("", 1, show=False) as bar:
        state = fit(
            learner.model,
            batches,
            learner.objective,
            optimizer,
            recipe.train.model_copy(update=once),
            seed=recipe.seed,
            validate=None,
            state=None,
            after_epoch=after_epoch,
            bar=bar,
            precision=resolve_precision(recipe.train.precision, device),
            steady=learner.steady,
        )
    return float(state.history[-1]["seconds"]) / batches.steps * len(learner.batches)


@dataclass
class _First:
    """The first batches of an epoch, again and again.

    Attributes:
        batches: of the training.
        limit: of the batches taken; may be set between two epochs.
        epoch_number: of the epoch that they are of: in the last one all images have their full
            size.
    """

    batches: Batches
    limit: int
    epoch_number: int

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @property
    def steps(self) -> int:
        """How many there are."""
        return min(self.limit, len(self.batches))

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:  # noqa: ARG002
        return itertools.islice(self.batches.epoch(self.epoch_number, seed), self.steps)

    def state_dict(self) -> dict[str, Tensor]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.batches.load_state_dict(state)
