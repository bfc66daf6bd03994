"""Which operators the time of an epoch goes to, by torch.profiler."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.phases import ONCE_AN_EPOCH, SCOPE, Phases, Workload, clock

OPTIMIZER_PRODUCTS = "optimizer's matrix products"
CONVOLUTION_AND_MATRIX = (
    "convolution forward",
    "convolution backward",
    "matrix products",
    OPTIMIZER_PRODUCTS,
)
# The first that matches counts. What matches none, such as the zeros that a pooling's gradient
# starts from, belongs to the operator that called it.
_BY_NAME = {
    "convolution backward": r"conv\w*backward",
    "convolution forward": r"conv(?!ert)",
    "matrix products": r"::(mm|bmm|addmm|baddbmm|addbmm|matmul|linear|mkl_linear|\w*attention\w*)$",
    "normalization": r"(batch|group|instance|layer|rms)_?norm",
    "pooling": r"pool",
    "activation": r"relu|threshold|clamp_min|gelu|silu|sigmoid|tanh|softplus|::_softmax",
    "dropout": r"dropout",
    "loss": r"log_softmax|nll_loss|cross_entropy",
    "copies and casts": r"::(copy_|_to_copy|clone|contiguous|cat|stack|index|index_put_)$",
}
_BY_PHASE = {
    "load": "load and augment",
    "augment": "load and augment",
    "optimizer": "optimizer",
    "bookkeeping": "other",
    "other": "other",
}
OPERATORS = tuple(
    dict.fromkeys((*CONVOLUTION_AND_MATRIX, *_BY_NAME, "load and augment", "optimizer", "other"))
)


@functools.cache
def category_of(operator: str) -> str | None:
    """The kind of work that an operator of this name does; None if its name does not tell."""
    return next(
        (kind for kind, names in _BY_NAME.items() if re.search(names, operator, re.IGNORECASE)),
        None,
    )


def profile_operators(
    workload: Workload, steps: int, phase_seconds: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Seconds of an epoch by phase and, within it, by kind of operator.

    On a CPU the operators share the seconds that their phase takes without the profiler, in the
    proportion of their self times with it, so that its overhead on small operators does not count
    as training. On CUDA they have the time of their kernels, and what is left of a phase, in which
    the device waits for the host, is `other`.

    Args:
        workload: warmed up.
        steps: to profile; all their events are kept in memory.
        phase_seconds: of an epoch, measured without the profiler.
    """
    on_cuda = workload.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_cuda
    steps = min(steps, len(workload.batches))
    with profile(activities=activities) as profiler:
        workload.epoch(Phases(clock(workload.device)), steps, "operators")
    self_seconds = _self_seconds(profiler.events(), on_cuda=on_cuda)
    result = {}
    for phase, seconds in phase_seconds.items():
        found = self_seconds.get(phase, {})
        if on_cuda:
            repeats = 1 if phase in ONCE_AN_EPOCH else len(workload.batches) / steps
        else:
            repeats = seconds / max(sum(found.values()), 1e-9)
        shared = {category: taken * repeats for category, taken in found.items()}
        rest = max(0.0, seconds - sum(shared.values()))
        result[phase] = {**shared, "other": shared.get("other", 0.0) + rest}
    return result


def _self_seconds(events: Iterable[Any], *, on_cuda: bool) -> dict[str, dict[str, float]]:
    events = [event for event in events if event.device_type == DeviceType.CPU]
    loop_thread = next(event.thread for event in events if event.name.startswith(SCOPE))
    result: dict[str, dict[str, float]] = {}
    for event in events:
        place, category = event, None
        while place is not None and not place.name.startswith(SCOPE):
            category = category or category_of(place.name)
            place = place.cpu_parent
        if place is not None:
            phase = place.name.removeprefix(SCOPE)
        elif event.thread != loop_thread:
            phase = "backward"  # on CUDA, autograd has a thread of its own
        else:
            continue  # before or after the epoch
        if phase == "optimizer" and category == "matrix products":  # Muon's, say
            category = OPTIMIZER_PRODUCTS
        else:
            category = _BY_PHASE.get(phase) or category or "other"
        microseconds = event.self_device_time_total if on_cuda else event.self_cpu_time_total
        found = result.setdefault(phase, {})
        found[category] = found.get(category, 0.0) + microseconds / 1e6
    return result
