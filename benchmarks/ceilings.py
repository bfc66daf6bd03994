"""How fast this machine computes at best: large products and convolutions, and a network's own."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.phases import clock

_MATRIX_SIDES = {"cpu": (1024, 2048), "cuda": (4096, 8192)}
# (images, channels in and out, side): all square, with 3x3 filters.
_LARGE_CONVOLUTIONS = {
    "cpu": ((32, 64, 56), (32, 128, 28), (32, 256, 14)),
    "cuda": ((512, 128, 56), (512, 256, 28), (512, 512, 14)),
}
_SECONDS_EACH = 0.5


@dataclass(frozen=True)
class Speed:
    """Arithmetic over time; a multiply-add is two operations."""

    what: str
    flops: float
    seconds: float

    @property
    def gflops(self) -> float:
        """10^9 operations per second."""
        return self.flops / self.seconds / 1e9

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "gflops": self.gflops}


@dataclass(frozen=True)
class Convolution:
    """One convolution as a network calls it in training."""

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    options: tuple[Any, ...]  # stride, padding, dilation and groups of `F.conv2d`
    needs_input_gradient: bool

    def __str__(self) -> str:
        images, channels, height, width = self.input_shape
        filters, _, *sides = self.weight_shape
        kernel = "x".join(map(str, sides))
        return f"{images} x {channels} x {height} x {width}, {filters} filters of {kernel}"


@dataclass
class Observed:
    """What a network was seen to compute: its convolutions and the type of their numbers."""

    convolutions: list[Convolution]
    dtype: torch.dtype = torch.float32


@contextmanager
def observing(model: nn.Module) -> Iterator[Observed]:
    """Note each layer's first call in training; to be read after the block."""
    observed = Observed([])
    seen: set[nn.Module] = set()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if module in seen or not torch.is_grad_enabled():
            return
        seen.add(module)
        observed.dtype = output.dtype  # under autocast not that of the weights
        if isinstance(module, nn.Conv2d):
            options = (module.stride, module.padding, module.dilation, module.groups)
            observed.convolutions.append(
                Convolution(
                    tuple(inputs[0].shape),
                    tuple(module.weight.shape),
                    options,
                    inputs[0].requires_grad,
                )
            )

    hooks = [
        module.register_forward_hook(note)
        for module in model.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    try:
        yield observed
    finally:
        for hook in hooks:
            hook.remove()


def matrix_ceiling(device: torch.device, dtype: torch.dtype) -> Speed:
    """The fastest of a few large square products."""
    speeds = []
    for side in _MATRIX_SIDES[device.type]:
        left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        multiply = functools.partial(torch.matmul, left, right)
        speeds.append(_speed(f"matrix product of {side} x {side}", multiply, device))
    return max(speeds, key=lambda speed: speed.gflops)


def large_convolution_ceiling(device: torch.device, dtype: torch.dtype) -> Speed:
    """The fastest of a few large 3x3 convolutions, forward and backward, channels last."""
    speeds = []
    for images, channels, side in _LARGE_CONVOLUTIONS[device.type]:
        convolution = Convolution(
            (images, channels, side, side), (channels, channels, 3, 3), (1, 1, 1, 1), True
        )
        speeds.append(convolution_speed(convolution, device, dtype))
    return max(speeds, key=lambda speed: speed.gflops)


def convolution_speed(convolution: Convolution, device: torch.device, dtype: torch.dtype) -> Speed:
    """A convolution alone, again and again: forward and backward, channels last."""
    images, weight = (
        torch.randn(shape, device=device).to(dtype, memory_format=torch.channels_last)
        for shape in (convolution.input_shape, convolution.weight_shape)
    )
    images.requires_grad_(convolution.needs_input_gradient)
    needed = [images, weight.requires_grad_()][not convolution.needs_input_gradient :]
    with torch.no_grad():
        gradient = torch.randn_like(F.conv2d(images, weight, None, *convolution.options))

    def work() -> None:
        torch.autograd.grad(F.conv2d(images, weight, None, *convolution.options), needed, gradient)

    return _speed(str(convolution), work, device)


def sum_of(what: str, parts: list[Speed]) -> Speed:
    """All parts, one after the other."""
    return Speed(what, sum(part.flops for part in parts), sum(part.seconds for part in parts))


def _speed(what: str, work: Callable[[], Any], device: torch.device) -> Speed:
    """The best time of at least two, for a ceiling is what nothing else disturbed."""
    with FlopCounterMode(display=False) as counter:
        work()  # also warms up
    read = clock(device)
    seconds: list[float] = []
    started = time.perf_counter()
    while len(seconds) < 2 or time.perf_counter() - started < _SECONDS_EACH:
        start = read()
        work()
        seconds.append(read() - start)
    return Speed(what, counter.get_total_flops(), min(seconds))
