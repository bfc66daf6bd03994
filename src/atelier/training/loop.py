"""The only training loop.

It sees a model, batches, an objective and an optimizer, and knows nothing of what they are:
methods differ by the objective they pass, and optimizers that need two passes get the closure to
call twice.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..data.batches import Batch
from ..errors import DivergenceError
from ..progress import Bar
from .averaging import averages_of
from .checkpoints import TrainingState, copy_state, copy_weights, restore
from .objectives import Logs, Objective
from .replay import ReplayedStep, Step, can_be_recorded, recorder_for
from .schedules import Schedule


class Batches(Protocol):
    """What the loop needs of its data."""

    @property
    def batch_size(self) -> int:
        """Images in a batch."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, seed: int) -> Iterable[Batch]:
        """The batches of one epoch, counted from 1."""

    def state_dict(self) -> dict[str, Tensor]:
        """What one epoch leaves to the next."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Put back what `state_dict` gave."""


_NORM_IMAGES = 10_000  # enough for a batch norm's mean and variance

Validate = Callable[[nn.Module], dict[str, float]]
"""Measures a model on the validation part: ``validation/loss`` and ``validation/accuracy``."""


def fit(
    model: nn.Module,
    batches: Batches,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    *,
    seed: int,
    validate: Validate | None,
    state: TrainingState | None,
    after_epoch: Callable[[TrainingState], None],
    bar: Bar,
    precision: torch.dtype = torch.float32,
    before_epoch: Callable[[int], None] | None = None,
    steady: bool = False,
) -> TrainingState:
    """Train until the epochs are over or validation has stopped getting better.

    Args:
        objective: gives the loss. One that is a module is kept with the state; one with a method
            ``after_step(model)`` is told of each step.
        seed: of the run; each epoch's randomness follows from it and the epoch's number alone.
        validate: None trains on a fixed schedule and keeps the last weights.
        state: an earlier epoch to go on from, or None.
        after_epoch: called with the state after every epoch.
        bar: counts epochs.
        precision: what convolutions and matrix products are computed in. bfloat16 has the range of
            float32, so that no gradient has to be scaled up lest it vanish.
        before_epoch: told each epoch's number, from 1, before it; it may freeze parameters.
        steady: the same kernels compute every step of batches of one shape: what is computed hangs
            on tensors alone, and not on what Python knows or `before_epoch` does. A GPU records
            such a step and replays it.

    Returns:
        The state after the last epoch; its `best` are the weights to keep.

    Raises:
        DivergenceError: the loss is no longer a number.
        RunError: `state` is of another model or optimizer.
    """
    schedule = Schedule(config)
    # The weights are the same ones; `model` keeps their names.
    trained: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
    averages = averages_of(model, config)
    own = objective if isinstance(objective, nn.Module) else None
    after_step: Callable[[nn.Module], None] | None = getattr(objective, "after_step", None)
    step: Step = partial(
        take_step,
        trained,
        objective=objective,
        optimizer=optimizer,
        config=config,
        precision=precision,
    )
    recorder = recorder_for(next(model.parameters()).device)
    if steady and can_be_recorded(config) and recorder is not None:
        step = ReplayedStep(step, optimizer, recorder)
    # Taken before a state brings its own, which the schedule has lowered already.
    peaks = [group["lr"] for group in optimizer.param_groups]
    if state is None:
        state = TrainingState(model=copy_weights(model), optimizer=copy_state(optimizer))
    else:
        restore(state, model, optimizer, averages, batches, own)

    history = state.history
    earlier = state.seconds
    started = time.perf_counter()
    while len(history) < config.num_epochs and not _out_of_patience(history, config.patience):
        epoch = len(history) + 1
        # Not from a running generator: then a resumed run draws what an uninterrupted one does.
        model_seed, batch_seed = np.random.SeedSequence((seed, epoch)).generate_state(2).tolist()
        torch.manual_seed(model_seed)
        schedule.observe(
            [a for row in history if (a := row.get("validation/accuracy")) is not None]
        )
        if before_epoch is not None:
            before_epoch(epoch)
        model.train()
        epoch_started = time.perf_counter()
        sums: dict[str, Tensor] = {}
        seen = 0  # batches of this epoch
        groups = grouped(batches.epoch(epoch, batch_seed), config.accumulate)
        for number, group in enumerate(groups):
            done = epoch - 1 + seen / len(batches)
            factor = schedule.factor(done)
            for rates, peak in zip(optimizer.param_groups, peaks, strict=True):
                rates["lr"] = peak * factor
            logs = step(group)
            averages.after_step(model)
            if after_step is not None:
                after_step(model)
            for name, value in logs.items():
                sums[name] = sums[name] + value if name in sums else value
            seen += len(group)
            if number % 16 == 0:
                rate = seen * batches.batch_size / (time.perf_counter() - epoch_started)
                bar.update(done, _note(epoch, config.num_epochs, rate, history))
        means = {f"train/{name}": float(total) / len(batches) for name, total in sums.items()}
        seconds = time.perf_counter() - epoch_started

        images = partial(_some_images, batches, epoch, batch_seed)
        kept = averages.after_epoch(model, epoch, images)
        due = epoch % config.validate_every == 0 or epoch == config.num_epochs
        measured = validate(kept) if validate is not None and due else {}
        validation_seconds = time.perf_counter() - epoch_started - seconds
        _refuse_divergence(epoch, {**means, **measured})
        better = config.keep == "last" or measured["validation/accuracy"] > max(
            (row["validation/accuracy"] for row in history), default=-1.0
        )
        row: dict[str, Any] = {"epoch": epoch, "lr": config.lr * factor, **means, **measured}
        row["seconds"] = seconds
        row["validation_seconds"] = validation_seconds
        row["images_per_second"] = len(batches) * batches.batch_size / seconds
        history = [*history, row]  # a new list: an earlier state keeps its own
        state = TrainingState(
            model=copy_weights(model),
            optimizer=copy_state(optimizer),
            average=copy_weights(averages),
            batches={name: t.detach().cpu().clone() for name, t in batches.state_dict().items()},
            objective={} if own is None else copy_weights(own),
            best=copy_weights(kept) if better else state.best,
            history=history,
            seconds=earlier + time.perf_counter() - started,
        )
        after_epoch(state)
        bar.update(epoch, _note(epoch, config.num_epochs, row["images_per_second"], history))
    return state


def take_step(
    model: nn.Module,
    batches: Sequence[Batch],
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    precision: torch.dtype = torch.float32,
) -> Logs:
    """One step by the mean loss of some batches.

    Returns:
        The sum over the batches of what the objective logs. Of an optimizer that calls the closure
        again, the first call counts: it is at the weights themselves.
    """
    logs: Logs = {}
    unseen = True

    def closure() -> Tensor:
        nonlocal unseen
        optimizer.zero_grad(set_to_none=True)
        total: Tensor | float = 0.0
        for batch in batches:
            known = batch if unseen else replace(batch, observe=None)
            with torch.autocast(
                batch.images.device.type, precision, enabled=precision != torch.float32
            ):
                loss, told = objective(model, known)
            torch.autograd.backward(loss / len(batches))
            total = total + loss.detach()
            for name, value in told.items() if unseen else ():
                logs[name] = logs[name] + value if name in logs else value
        if config.clip_grad_norm:
            learned = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(learned, config.clip_grad_norm)
        unseen = False
        return torch.as_tensor(total / len(batches))

    # torch types the closure as returning a float, and documents a tensor.
    optimizer.step(closure)  # type: ignore[arg-type]
    return logs


def _some_images(batches: Batches, epoch: int, seed: int) -> Iterator[Tensor]:
    """The first batches of an epoch."""
    count = math.ceil(_NORM_IMAGES / batches.batch_size)
    return (batch.images for batch in islice(batches.epoch(epoch, seed), count))


def grouped(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """`size` at a time; the last may be fewer."""
    rest = iter(batches)
    while group := list(islice(rest, size)):
        yield group


def _refuse_divergence(epoch: int, measured: dict[str, float]) -> None:
    for name, value in measured.items():
        if not math.isfinite(value):
            raise DivergenceError(
                f"training diverged: {name} of epoch {epoch} is not a number any more",
                got=value,
                fix="Lower train.lr, or limit the steps with --set train.clip_grad_norm=1",
            )


def _out_of_patience(history: list[dict[str, Any]], patience: int) -> bool:
    if not patience or not history:
        return False
    accuracies = [row["validation/accuracy"] for row in history]
    return len(accuracies) - 1 - accuracies.index(max(accuracies)) >= patience


def _note(epoch: int, num_epochs: int, rate: float, history: list[dict[str, Any]]) -> str:
    words = f"epoch {epoch}/{num_epochs}  {rate:,.0f} images/s"
    if history:
        words += f"  loss {history[-1].get('train/loss', float('nan')):.3f}"
        if "validation/accuracy" in history[-1]:
            words += f"  validation {history[-1]['validation/accuracy']:.2%}"
    return words
