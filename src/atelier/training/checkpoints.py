"""The state between two epochs, in one safetensors file written whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import RunError
from ..storage import atomic_path, explained

Weights = dict[str, Tensor]

_PARTS = ("model", "average", "batches", "objective", "best")
_TIMES_AS_LONG = 20  # between two saves as the first of them took: a twentieth of the time at most


@dataclass
class TrainingState:
    """All that an epoch leaves to the next.

    Attributes:
        model: weights and buffers of the network being trained.
        optimizer: the optimizer's `state_dict`, by `copy_state`.
        average: weights and buffers of the moving average; empty where there is none.
        batches: what the batches of an epoch know of earlier ones; empty where they need nothing.
        objective: weights and buffers that the objective has of its own; empty where it has none.
        best: weights and buffers to keep so far.
        history: one row for each epoch done.
        seconds: spent so far, over all sessions.
    """

    model: Weights
    optimizer: dict[str, Any]
    average: Weights = field(default_factory=dict)
    batches: Weights = field(default_factory=dict)
    objective: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


class Stateful(Protocol):
    """What remembers something from one epoch to the next."""

    def load_state_dict(self, state: Weights) -> None:
        """Put back what its `state_dict` gave."""


def copy_weights(module: torch.nn.Module) -> Weights:
    """The module's state, copied to the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in module.state_dict().items()
    }


def copy_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's `state_dict`, its tensors copied to the CPU: its own go on being changed."""
    state = optimizer.state_dict()
    copied = {
        index: {
            name: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else value
            for name, value in values.items()
        }
        for index, values in state["state"].items()
    }
    return {**state, "state": copied}


def save_checkpoint(path: Path, state: TrainingState) -> None:
    """Write `state`.

    Raises:
        StorageError: no space or no permission.
    """
    tensors: Weights = {}
    for part in _PARTS:
        tensors |= {f"{part}/{name}": tensor for name, tensor in getattr(state, part).items()}
    scalars: dict[str, dict[str, Any]] = {}
    for index, values in state.optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{name}"] = value.contiguous()
            else:
                scalars.setdefault(str(index), {})[name] = value
    metadata = {
        "param_groups": state.optimizer["param_groups"],
        "scalars": scalars,
        "history": state.history,
        "seconds": state.seconds,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(metadata)})


class SparingSaver:
    """Saves the newest state unless saving would take more than a twentieth of the time.

    On a GPU an epoch can be over sooner than its checkpoint is written. A state that stands aside
    so is saved where the block of a ``with`` ends by an exception, Ctrl-C among them; a process
    that is killed loses it. Where epochs take longer, each is saved.

    Args:
        save: writes a state.
    """

    def __init__(self, save: Callable[[TrainingState], None]) -> None:
        self.save = save
        self._due = -float("inf")
        self._unsaved: TrainingState | None = None

    def __call__(self, state: TrainingState) -> None:
        """Save `state` if it is time to, and keep it in mind if not."""
        self._unsaved = state
        if time.perf_counter() >= self._due:
            self._flush()

    def __enter__(self) -> SparingSaver:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._flush()

    def _flush(self) -> None:
        # One that could not be saved is not tried again.
        state, self._unsaved = self._unsaved, None
        if state is None:
            return
        started = time.perf_counter()
        self.save(state)
        ended = time.perf_counter()
        self._due = ended + _TIMES_AS_LONG * (ended - started)


def load_checkpoint(path: Path) -> TrainingState:
    """Read what `save_checkpoint` wrote.

    Raises:
        RunError: the file is missing or corrupt.
    """
    if not path.is_file():
        raise RunError(
            f"there is nothing to resume: {path} is missing",
            fix="The run ended before its first epoch did: train it anew with --overwrite",
        )
    try:
        with explained(path, "read"), safe_open(path, framework="pt") as file:
            metadata = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _unpack(metadata, tensors)
    # What is whole but foreign fails with the last four.
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"the checkpoint {path} is corrupt: {error}", fix="Train anew with --overwrite"
        ) from error


def _unpack(metadata: dict[str, Any], tensors: Weights) -> TrainingState:
    parts: dict[str, Weights] = {part: {} for part in _PARTS}
    optimizer_state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in metadata["scalars"].items()
    }
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        if part == "optimizer":
            index, _, key = rest.partition("/")
            optimizer_state.setdefault(int(index), {})[key] = tensor
        else:
            parts[part][rest] = tensor
    return TrainingState(
        optimizer={"state": optimizer_state, "param_groups": metadata["param_groups"]},
        history=metadata["history"],
        seconds=metadata["seconds"],
        **parts,
    )


def restore(
    state: TrainingState,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    average: torch.nn.Module | None,
    batches: Stateful,
    objective: torch.nn.Module | None = None,
) -> None:
    """Put `state` back into what it was taken from.

    Raises:
        RunError: it was taken from another model, optimizer or training part.
    """
    try:
        model.load_state_dict(state.model)
        optimizer.load_state_dict(state.optimizer)
        for weight, values in optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor) and value.shape == weight.shape:
                    # Fused optimizers take for granted that moments lie in memory as weights do.
                    values[name] = torch.empty_like(weight).copy_(value)
        if average is not None:
            average.load_state_dict(state.average)
        batches.load_state_dict(state.batches)
        if objective is not None:
            objective.load_state_dict(state.objective)
    except (RuntimeError, ValueError, KeyError) as error:
        raise RunError(
            f"the checkpoint is of another recipe: {error}", fix="Train anew with --overwrite"
        ) from error
