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
from .loop import Batches, fit
from .methods import learner_of
from .optimizers import build_optimizer
from .preparation import prepare

_WARM_UP = 3  # steps; the first ones choose algorithms and fill caches
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
    config = recipe.train.model_copy(update={"num_epochs": 1, "warmup_epochs": 0, "keep": "last"})

    def seconds(steps: int) -> float:
        with progress_bar("", 1, show=False) as bar:
            state = fit(
                learner.model,
                _First(learner.batches, steps),
                learner.objective,
                optimizer,
                config,
                seed=recipe.seed,
                validate=None,
                state=None,
                after_epoch=lambda _: None,
                bar=bar,
                precision=resolve_precision(recipe.train.precision, device),
                steady=learner.steady,
            )
        return float(state.history[-1]["seconds"])

    seconds(_WARM_UP)
    step = seconds(_WARM_UP) / min(_WARM_UP, len(learner.batches))
    steps = min(len(learner.batches), max(_WARM_UP, round(_ENOUGH / step)))
    return seconds(steps) / steps * len(learner.batches)


@dataclass(frozen=True)
class _First:
    """The first batches of each epoch."""

    batches: Batches
    steps: int

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    def __len__(self) -> int:
        return min(self.steps, len(self.batches))

    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        return itertools.islice(self.batches.epoch(epoch, seed), self.steps)

    def state_dict(self) -> dict[str, Tensor]:
        return self.batches.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.batches.load_state_dict(state)
