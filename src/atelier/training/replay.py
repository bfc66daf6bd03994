"""Training steps that a GPU records once and replays: one call instead of some hundred launches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from ..config import TrainConfig
from ..data.batches import Batch, Unlabeled
from ..data.mixing import Mixed
from .memory import is_out_of_memory
from .objectives import Logs

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Step = Callable[[Sequence[Batch]], Logs]
"""Moves the weights once by the mean loss of some batches; returns what the objective logs."""

# Until then the optimizer makes its state, cuDNN chooses its kernels and torch.compile compiles.
_WARM_UP = 3
_BY_TENSORS = frozenset({"adam", "adamw", "sgd", "muon", "muon-adamw"})
_RECORDED = ("lr", "capturable")  # what a group has otherwise while its step is recorded


class Recorder(Protocol):
    """Runs work so that it can be recorded, and records it."""

    def aside(self, work: Callable[[], Result]) -> Result:
        """Do `work` now, where recordings are made."""

    def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """What does `work` over again with the same tensors. Nothing is done yet; each time, the
        result lies in the same memory."""


class CudaRecorder:
    """Records in CUDA graphs, each with memory of its own.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def aside(self, work: Callable[[], Result]) -> Result:
        """As `Recorder` has it."""
        current = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            result = work()
        current.wait_stream(self.stream)
        return result

    def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """As `Recorder` has it."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            result = work()

        def again() -> Result:
            graph.replay()
            return result

        return again


def can_be_recorded(config: TrainConfig) -> bool:
    """Whether each step learns from one batch, moves all weights, and takes rates that are tensors,
    as far as that is the configuration's to say."""
    return config.optimizer in _BY_TENSORS and config.freeze == "none" and config.accumulate == 1


def recorder_for(device: torch.device) -> Recorder | None:
    """What records on the device; None where launching costs next to nothing."""
    return CudaRecorder(device) if device.type == "cuda" else None


@dataclass(frozen=True)
class _Recording:
    """A step for batches of one shape.

    Attributes:
        shape: of such batches, as `_shape_of` has it.
        inputs: the tensors that it reads, in the order of `_tensors_of`.
        again: takes the step; gives what it logs, and the losses to be observed.
    """

    shape: tuple[object, ...]
    inputs: list[Tensor]
    again: Callable[[], tuple[Logs, list[Tensor]]]


class ReplayedStep:
    """A step that is taken a few times, then recorded, and from then on replayed.

    A step on small images is some hundred kernels of a few microseconds each, and launching one
    takes as long. The latest recording is kept; batches of another shape, as when the images grow,
    begin anew. What a GPU refuses to record, as a network that looks at a number to decide what to
    do, is taken step by step, and a warning says so.

    Args:
        step: of one batch. What it does must depend on tensors alone, for what Python decides is
            recorded as it was decided then. Its optimizer must take learning rates that are
            tensors.
        optimizer: that `step` moves by; the rates that its groups have at the time are taken.
        recorder: of the device.
    """

    def __init__(self, step: Step, optimizer: torch.optim.Optimizer, recorder: Recorder) -> None:
        self.step = step
        self.optimizer = optimizer
        self.recorder = recorder
        self._rates: list[Tensor] = []
        self._taken: dict[tuple[object, ...], int] = {}
        self._recording: _Recording | None = None
        self._refused = False

    def __call__(self, batches: Sequence[Batch]) -> Logs:
        """Move once, by one batch."""
        (batch,) = batches
        shape = _shape_of(batch)
        recording = self._recording
        if recording is None or recording.shape != shape:
            taken = self._taken.get(shape, 0)
            if not (self._refused or taken < _WARM_UP):
                self._recording = None  # its memory is free for the next
                self._recording = self._record(batch, shape)
            recording = self._recording
            if recording is None or recording.shape != shape:
                self._taken[shape] = taken + 1
                return self.recorder.aside(lambda: self.step(batches))
        torch._foreach_copy_(recording.inputs, _tensors_of(batch))
        for rate, group in zip(self._rates, self.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        logs, observed = recording.again()
        if batch.observe is not None:
            batch.observe(observed[0])
        return {name: value.clone() for name, value in logs.items()}

    def _record(self, batch: Batch, shape: tuple[object, ...]) -> _Recording | None:
        """None where the device refuses."""
        device, groups = batch.images.device, self.optimizer.param_groups
        self._rates = [torch.zeros((), device=device) for _ in groups]
        inputs = [tensor.clone() for tensor in _tensors_of(batch)]
        static = _with_tensors(batch, inputs)

        def work() -> tuple[Logs, list[Tensor]]:
            observed: list[Tensor] = []
            observe = None if batch.observe is None else observed.append
            with _tensor_rates(groups, self._rates):
                return self.step([replace(static, observe=observe)]), observed

        try:
            return _Recording(shape, inputs, self.recorder.record(work))
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self._refused = True
            reason = str(error).partition("\n")[0]
            _logger.warning("steps are taken one by one, for the GPU records none: %s", reason)
            return None


@contextmanager
def _tensor_rates(groups: list[dict[str, Any]], rates: list[Tensor]) -> Iterator[None]:
    """An optimizer's groups with rates that are tensors; torch's own are told what for."""
    before = [{key: group[key] for key in _RECORDED if key in group} for group in groups]
    for group, kept, rate in zip(groups, before, rates, strict=True):
        group.update({**dict.fromkeys(kept, True), "lr": rate})
    try:
        yield
    finally:
        for group, kept in zip(groups, before, strict=True):
            group.update(kept)


def _tensors_of(batch: Batch) -> list[Tensor]:
    weights = [] if batch.weights is None else [batch.weights]
    others = batch.unlabeled
    unlabeled = [] if others is None else [others.positions, *others.views]
    own = [batch.images, batch.labels, batch.positions, *weights, *(batch.mixed or ())]
    return [*own, *batch.views, *unlabeled]


def _with_tensors(batch: Batch, tensors: list[Tensor]) -> Batch:
    """`batch` with other tensors, in the order of `_tensors_of`."""
    rest = iter(tensors)
    images, labels, positions = next(rest), next(rest), next(rest)
    return replace(
        batch,
        images=images,
        labels=labels,
        positions=positions,
        weights=None if batch.weights is None else next(rest),
        mixed=None if batch.mixed is None else Mixed(next(rest), next(rest)),
        views=tuple(next(rest) for _ in batch.views),
        unlabeled=None
        if batch.unlabeled is None
        else Unlabeled(positions=next(rest), views=tuple(rest)),
    )


def _shape_of(batch: Batch) -> tuple[object, ...]:
    """What a recording holds for: the shape of each tensor, and which of them there are."""
    there = (batch.weights, batch.mixed, batch.observe, batch.unlabeled)
    shapes = (tensor.shape for tensor in _tensors_of(batch))
    return (*(thing is None for thing in there), len(batch.views), *shapes)
