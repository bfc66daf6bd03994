"""Epochs of a real training, taken apart at the seams of the training loop.

Nothing of the training is rebuilt here: `Workload` takes the very arguments that `atelier.train`
would pass to its loop, and calls that loop with its batches, augmentation, objective, optimizer and
validation wrapped.
"""

from __future__ import annotations

import inspect
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.profiler import record_function

import atelier
from atelier.config import Recipe
from atelier.data.batches import Batch
from atelier.progress import progress_bar
from atelier.training import entry
from atelier.training.checkpoints import TrainingState
from atelier.training.loop import Batches, fit

PHASES = {
    "load": "slicing and normalizing a batch, and drawing the epoch's order",
    "augment": "the random changes of the batch",
    "forward": "the network and the loss",
    "backward": "the gradient, with clearing and clipping it",
    "optimizer": "the step, after the gradient is there",
    "evaluate": "validation, where the recipe validates",
    "bookkeeping": "once an epoch: the means of the loss and copies of the weights, without files",
    "other": "the loop itself: schedule, sums of the loss, averages of the weights",
}
ONCE_AN_EPOCH = ("evaluate", "bookkeeping")
SCOPE = "phase: "
"""What the profiler's name of a phase starts with."""


class Phases:
    """Adds up what a meter advances in each phase; a phase inside another counts for itself alone.

    Args:
        read: the meter: seconds, or whatever else only grows.
    """

    def __init__(self, read: Callable[[], float]) -> None:
        self.totals = dict.fromkeys(PHASES, 0.0)
        self._read = read
        self._inside = 0.0  # what the phases within the open one have taken

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        outside, self._inside = self._inside, 0.0
        start = self._read()
        try:
            with record_function(SCOPE + name):
                yield
        finally:
            taken = self._read() - start
            self.totals[name] += taken - self._inside
            self._inside = outside + taken


def clock(device: torch.device) -> Callable[[], float]:
    """Seconds, read when the device has finished what it was given."""

    def read() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


class Workload:
    """A recipe's training, made by `atelier.train` itself, of which single epochs can be run.

    Args:
        recipe: with its data; validation happens as it says.
        device: as of `atelier.train`.

    Raises:
        AtelierError: as `atelier.train`.
    """

    def __init__(self, recipe: Recipe, device: str = "auto") -> None:
        self._arguments = _loop_arguments(recipe, device)
        self.model: nn.Module = self._arguments["model"]
        self.batches: Any = self._arguments["batches"]
        self.device = next(self.model.parameters()).device

    def epoch(self, phase: Phases, steps: int, title: str) -> dict[str, Any]:
        """Train the first `steps` steps of the first epoch, then validate; weights go on changing.

        Returns:
            The loop's own record of the epoch, with its `seconds` and `validation_seconds`.
        """
        row: dict[str, Any] = {}
        optimizer, validate = self._arguments["optimizer"], self._arguments["validate"]
        objective, step = self._arguments["objective"], optimizer.step
        with ExitStack() as between:  # holds the phase that everything else happens in

            def phased_objective(model: nn.Module, batch: Batch) -> Any:
                with phase("forward"):
                    return objective(model, batch)

            def phased_step(closure: Callable[[], Tensor]) -> Any:
                def phased_closure() -> Tensor:
                    with phase("backward"):
                        return closure()

                with phase("optimizer"):
                    return step(phased_closure)

            def phased_validate(model: nn.Module) -> Any:
                with phase("evaluate"):
                    return validate(model)

            def after_epoch(state: TrainingState) -> NoReturn:
                between.close()
                row.update(state.history[-1])
                raise EpochIsOver

            replaced = {
                "batches": _PhasedBatches(self.batches, steps, phase, between),
                "objective": phased_objective,
                "validate": phased_validate if validate is not None else None,
                "after_epoch": after_epoch,
            }
            augment = _PhasedAugmenter(self.batches.augment, phase)
            with (
                patch.object(self.batches, "augment", augment),
                patch.object(optimizer, "step", phased_step),
                progress_bar(title, 1) as bar,
            ):
                try:
                    fit(**{**self._arguments, **replaced, "bar": bar})
                except EpochIsOver:
                    bar.update(1)
        return row


class EpochIsOver(Exception):  # noqa: N818 - nothing went wrong
    """Ends the loop after one epoch, so that the recipe's schedule can stay as it is."""


class LoopReached(Exception):  # noqa: N818 - nothing went wrong
    """Ends `atelier.train` where its loop would begin."""


def _loop_arguments(recipe: Recipe, device: str) -> dict[str, Any]:
    """What `atelier.train` calls its loop with, without going into it."""
    arguments: dict[str, Any] = {}

    def take(*args: Any, **kwargs: Any) -> NoReturn:
        arguments.update(inspect.signature(fit).bind(*args, **kwargs).arguments)
        raise LoopReached

    with tempfile.TemporaryDirectory() as folder, patch.object(entry, "fit", take):
        try:
            atelier.train(recipe, out=Path(folder) / "run", device=device, progress=False)
        except LoopReached:
            return arguments
    raise AssertionError("atelier.train did not call its loop")


class _PhasedBatches:
    """At most `steps` batches of an epoch; what happens between them goes to `other`."""

    def __init__(self, batches: Batches, steps: int, phase: Phases, between: ExitStack) -> None:
        self._batches, self._phase, self._between = batches, phase, between
        self._steps = min(steps, len(batches))
        self.batch_size = batches.batch_size
        self.state_dict = batches.state_dict

    def __len__(self) -> int:
        return self._steps

    def epoch(self, epoch: int, seed: int) -> Iterator[Batch]:
        self._between.enter_context(self._phase("other"))
        batches = iter(self._batches.epoch(epoch, seed))
        for _ in range(self._steps):
            with self._phase("load"):
                batch = next(batches)
            yield batch
        self._between.close()
        self._between.enter_context(self._phase("bookkeeping"))


class _PhasedAugmenter:
    def __init__(self, augment: Any, phase: Phases) -> None:
        self._augment, self._phase = augment, phase

    def __call__(self, images: Tensor, positions: Tensor) -> Any:
        with self._phase("augment"):
            return self._augment(images, positions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._augment, name)
