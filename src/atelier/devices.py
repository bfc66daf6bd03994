"""Where the arithmetic runs."""

from __future__ import annotations

import ctypes
import functools
import platform
import sys
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from .errors import DeviceError

_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; other names are torch's own.

    Raises:
        DeviceError: an unknown name, or a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = name.partition(":")
    if name not in ("cpu", "cuda") and not (kind == "cuda" and colon and number.isdecimal()):
        raise DeviceError("unknown device", got=name, allowed="auto, cpu, cuda, cuda:N")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise DeviceError(
                f"this machine has no device {name}: torch sees {count} CUDA devices",
                fix="Use --device auto or --device cpu",
            )
    return torch.device(kind, int(number)) if number else torch.device(kind)


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The type that a training computes in.

    Args:
        name: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the device has instructions for
            it (AVX-512 BF16, Intel's AMX, NVIDIA's Ampere and later). Elsewhere it is emulated,
            slower.
        device: of the training.
    """
    if name == "auto":
        fast = (
            torch.cuda.get_device_capability(device) >= (8, 0)
            if device.type == "cuda"
            else not _BFLOAT16_FLAGS.isdisjoint(_cpu_facts().get("flags", "").split())
        )
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def copied(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """A small array as a tensor on the device; no GPU is waited for."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep large freed blocks instead of handing them back to the kernel each time.

    A training step frees and asks for the same tens of megabytes over and over; by default each
    round trip is a system call and a page fault for every 4 KiB, which costs small convolutional
    networks 10 to 20 % of their time on a CPU. Other systems than Linux with glibc are left alone.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def leave_compiler_out(owner: type, *methods: str) -> None:
    """Keep these methods from importing torch's compiler, which takes 0.8 s of a short training.

    torch wraps some methods so that the compiler leaves them alone, and imports it at their first
    call to say so. Where nothing is compiled, the method itself serves; torch looks for it in this
    attribute.
    """
    for name in methods:
        method = getattr(getattr(owner, name, None), "__wrapped__", None)
        if method is not None and not hasattr(method, "__dynamo_disable"):
            setattr(method, "__dynamo_disable", method)


def describe_machine(device: torch.device) -> dict[str, str | int]:
    """What a reader needs to know to judge a time or to repeat a run."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
    }


def _processor() -> str:
    facts = _cpu_facts()
    if "model name" not in facts:
        return platform.processor()
    return f"{facts['model name']}, {facts['cores']} cores"


def _cpu_facts() -> dict[str, str]:
    """What Linux says of the last of its cores, and their number; elsewhere nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {}
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    facts = {name.strip(): value.strip() for name, value in pairs}
    facts["cores"] = str(sum(name.strip() == "processor" for name, _ in pairs))
    return facts
