"""What a training needs of memory, and what it does when that is short."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ..config import Recipe
from ..models import ImageShape, build_model

SMALLEST_BATCH = 8


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a device's, the processor's or NumPy's way to say that memory is short."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # torch has no class of errors for the memory of the processor.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def activation_bytes(recipe: Recipe, image_shape: ImageShape, num_classes: int) -> int:
    """What one image's training step keeps in memory, about: the outputs of all layers in float32,
    once for the way forward and once for the way back. Found by trying with one image."""
    total = 0

    def add(_module: nn.Module, _inputs: object, output: object) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel()

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        model = build_model(recipe.model, image_shape, num_classes).eval()
        for module in model.modules():
            if not list(module.children()):
                module.register_forward_hook(add)
        model(torch.zeros(1, *image_shape))
    return 2 * 4 * total


def free_memory(device: torch.device) -> int | None:
    """Bytes that a training could still take on the device; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
