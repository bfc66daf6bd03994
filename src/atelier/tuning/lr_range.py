"""The learning-rate range test: at which rates a network learns, before it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..config import Recipe
from ..data import obtain_dataset
from ..data.batches import Batch
from ..devices import keep_freed_memory, resolve_device, resolve_precision
from ..errors import ConfigError
from ..progress import Bar, progress_bar
from ..storage import write_json
from ..training import resolve_recipe
from ..training.averaging import averages_of
from ..training.classical import is_classical
from ..training.layers import Freezing
from ..training.learner import Learner
from ..training.loop import Batches, grouped, take_step
from ..training.memory import free_memory
from ..training.methods import learner_of
from ..training.optimizers import build_optimizer
from ..training.plan import planned
from ..training.preparation import prepare

_LOWEST, _HIGHEST = 1e-6, 10.0
_STEPS = 150
_BLOWN_UP = 4.0  # times the lowest loss, as in fastai's finder
_FOLLOWING = 0.9  # of the running mean that says when it has blown up
_WIDTH = 3.0  # steps, of the bell by which the curve is smoothed
_FORMAT_VERSION = 1


@dataclass(frozen=True)
class LearningRateRange:
    """What a network's loss does while the learning rate rises.

    Attributes:
        recipe: its name.
        data: the data set.
        folder: of the results.
        rates: as ``train.lr``, one of each step, rising by the same factor.
        losses: before each of these steps, on its own batch.
        smoothed: the same, each a mean of its neighbors weighted by a bell of three steps' width.
        steepest: the rate at which the smoothed loss falls fastest.
        lowest: the rate at which it is lowest.
        sgd_ratio: with muon, ``train.sgd_lr`` for each unit of ``train.lr``; None else.
    """

    recipe: str
    data: str
    folder: Path
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float
    lowest: float
    sgd_ratio: float | None = None

    @property
    def suggested(self) -> float:
        """Halfway, on a logarithmic axis, between the two, to two digits: at the steepest the rate
        could still rise, and at the lowest the loss is about to blow up."""
        return _two_digits(math.sqrt(self.steepest * self.lowest))

    @property
    def words(self) -> str:
        """What to append to ``atelier train``."""
        words = f"--set train.lr={self.suggested:g}"
        if self.sgd_ratio is not None:
            words += f" --set train.sgd_lr={_two_digits(self.suggested * self.sgd_ratio):g}"
        return words

    def __str__(self) -> str:
        return (
            f"{self.recipe} on {self.data}: {len(self.rates)} steps at learning rates from "
            f"{self.rates[0]:.2g} to {self.rates[-1]:.2g}\n"
            f"the loss falls fastest at {self.steepest:.2g} and is lowest at {self.lowest:.2g}, of "
            f"which the careful take a tenth, {self.lowest / 10:.2g}; halfway between the two:\n"
            f"{self.words}"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "format_version": _FORMAT_VERSION,
            **asdict(self),
            "folder": str(self.folder),
            "suggested": self.suggested,
        }


def lr_range(
    recipe: str | Recipe,
    *,
    data: str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    name: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> LearningRateRange:
    """Train for 150 steps while the learning rate rises from 1e-6 to 10 by the same factor each
    time, until the loss blows up, and say where it fell (Smith 2017, arXiv:1506.01186).

    The loss is that of the recipe's method, on training images; all groups of the optimizer keep
    their ratio. The weights are thrown away: a picture and ``lr-range.json`` are all that is
    written. The test images are not looked at.

    Args:
        recipe: a name, the ``.json`` file of a saved recipe, or a `Recipe`.
        data: a data set's name or folder; None is the recipe's own.
        seed: of the weights and the order; None is the recipe's.
        overrides: ``path=value`` strings.
        name: of the folder of the results; None is ``RECIPE-DATA``.
        out: the folder of the results; None is ``runs/tune/NAME``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: an unknown recipe, field or value, a recipe without a learning rate, or a loss
            that fell at no rate.
        DataError: the data set is missing or corrupt.
        RunError: a run that the recipe needs cannot be used.
        DeviceError: this machine has no such device.
        StorageError: no space or no permission.
    """
    from .lr_picture import lr_picture  # matplotlib

    asked = resolve_recipe(recipe, data=data, seed=seed, overrides=overrides)
    if is_classical(asked):
        raise ConfigError(f"{asked.name} is not trained by steps, and has no learning rate")
    torch_device = resolve_device(device)
    keep_freed_memory()
    dataset = obtain_dataset(asked.data, asked.photos, progress=progress)
    followed, _ = planned(asked, dataset, memory_bytes=free_memory(torch_device))
    prepared = prepare(followed, dataset, torch_device, progress=progress)
    learner = learner_of(prepared, followed)
    precision = resolve_precision(followed.train.precision, torch_device)
    with progress_bar(f"lr range {asked.name}", _STEPS, show=progress) as bar:
        rates, losses = sweep(learner, followed, precision, bar)
    smoothed = _smoothed(losses)
    steepest, lowest = _landmarks(rates, smoothed)
    name = name or f"{asked.name.replace('/', '-')}-{dataset.name}"
    train = followed.train
    result = LearningRateRange(
        recipe=asked.name,
        data=asked.data,
        folder=Path(out) if out is not None else Path("runs/tune") / name,
        rates=tuple(rates.tolist()),
        losses=tuple(losses.tolist()),
        smoothed=tuple(smoothed.tolist()),
        steepest=steepest,
        lowest=lowest,
        sgd_ratio=train.sgd_lr / train.lr if train.optimizer == "muon" else None,
    )
    write_json(result.folder / "lr-range.json", result.to_dict())
    lr_picture(result).save(result.folder / "figures")
    return result


Floats = npt.NDArray[np.float64]


def sweep(
    learner: Learner, recipe: Recipe, precision: torch.dtype, bar: Bar
) -> tuple[Floats, Floats]:
    """Learning rates, as ``train.lr``, and the loss before each step, until it has blown up.

    Args:
        learner: what is trained; its weights change.
        recipe: of the training.
        precision: as of `fit`.
        bar: counts steps.
    """
    config, model = recipe.train, learner.model
    optimizer = build_optimizer(model, config, learner.objective)
    averages = averages_of(model, config)
    peaks = [group["lr"] for group in optimizer.param_groups]
    after_step = getattr(learner.objective, "after_step", None)

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        loss, _ = learner.objective(model, batch)
        return loss, {"loss": loss.detach()}

    torch.manual_seed(recipe.seed)
    Freezing(model, config)(1)
    model.train()
    rates = np.geomspace(_LOWEST, _HIGHEST, _STEPS)
    losses: list[float] = []
    mean, least = 0.0, math.inf
    groups = grouped(_endless(learner.batches, recipe.seed), config.accumulate)
    for step, (rate, batches) in enumerate(zip(rates, groups, strict=False)):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (float(rate) / config.lr)
        logs = take_step(model, batches, objective, optimizer, config, precision)
        averages.after_step(model)
        if after_step is not None:
            after_step(model)
        loss = float(logs["loss"]) / len(batches)
        mean = _FOLLOWING * mean + (1 - _FOLLOWING) * loss
        following = mean / (1 - _FOLLOWING ** (step + 1))  # the mean has begun at zero
        if not math.isfinite(loss) or following > _BLOWN_UP * least:
            break
        losses.append(loss)
        least = min(least, following)
        bar.update(step + 1, f"lr {rate:.1e}  loss {following:.3f}")
    return rates[: len(losses)], np.array(losses)


def _endless(batches: Batches, seed: int) -> Iterator[Batch]:
    """One epoch after another."""
    epoch = 0
    while True:
        epoch += 1
        own = int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
        yield from batches.epoch(epoch, own)


def _smoothed(losses: Floats) -> Floats:
    """Weighted by a bell, which, unlike a running mean, does not push a valley to the right."""
    places = np.arange(len(losses))
    bells = np.exp(-0.5 * ((places[:, None] - places) / _WIDTH) ** 2)
    result: Floats = bells @ losses / bells.sum(axis=1)
    return result


def _landmarks(rates: Floats, smoothed: Floats) -> tuple[float, float]:
    """Where the loss falls fastest, and where it is lowest."""
    low = int(smoothed.argmin()) if len(smoothed) else 0
    if low < 2:
        raise ConfigError(
            "the loss fell at no learning rate",
            allowed=f"{_LOWEST:g} to {_HIGHEST:g}",
            fix="Look at the recipe: its optimizer, its normalization, its precision",
        )
    slopes = np.gradient(smoothed[: low + 1], np.log(rates[: low + 1]))
    return float(rates[int(slopes.argmin())]), float(rates[low])


def _two_digits(value: float) -> float:
    return float(f"{value:.2g}")
