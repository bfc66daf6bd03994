"""A training that leaves nothing on the disk: for verbs that need networks only for a moment."""

from __future__ import annotations

import torch

from ..config import Recipe
from ..data import Dataset
from ..devices import resolve_precision
from ..predictor import Predictor
from ..progress import Bar
from .checkpoints import TrainingState
from .layers import Freezing
from .loop import fit
from .memory import free_memory
from .methods import learner_of
from .optimizers import build_optimizer
from .plan import planned
from .preparation import prepare


def train_in_memory(recipe: Recipe, dataset: Dataset, device: torch.device, bar: Bar) -> Predictor:
    """What `train` would do, on a data set that need not have a name, without a run folder.

    Args:
        recipe: of the training, its seed included; a plan is fitted to `dataset`.
        dataset: what to learn from, and what to choose by where the recipe holds images out.
        device: of the training.
        bar: counts the share that is done, from 0 to 1.

    Returns:
        The predictor of the kept weights.

    Raises:
        ConfigError: the network does not fit the images, or the loss is no longer a number.
        DataError: the data cannot be split as the recipe says.
    """
    recipe, _ = planned(recipe, dataset, memory_bytes=free_memory(device))
    prepared = prepare(recipe, dataset, device)
    learner = learner_of(prepared, recipe)
    optimizer = build_optimizer(learner.model, recipe.train, learner.objective)
    freezing = Freezing(learner.model, recipe.train)
    state = fit(
        learner.model,
        learner.batches,
        learner.objective,
        optimizer,
        recipe.train,
        seed=recipe.seed,
        validate=learner.validate,
        state=None,
        after_epoch=_keep_nothing,
        bar=_Share(bar, recipe.train.num_epochs),
        precision=resolve_precision(recipe.train.precision, device),
        before_epoch=freezing,
        steady=learner.steady,
    )
    freezing.release()
    prepared.model.load_state_dict({**prepared.model.state_dict(), **state.best})
    return Predictor(prepared.model, prepared.card, device=str(device))


def _keep_nothing(_state: TrainingState) -> None:
    pass


class _Share:
    """Tells epochs as a share of all."""

    def __init__(self, bar: Bar, total: int) -> None:
        self.bar, self.total = bar, total

    def update(self, completed: float, note: str = "") -> None:
        self.bar.update(completed / self.total, note)
