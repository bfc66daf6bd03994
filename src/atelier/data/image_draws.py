"""Random numbers that belong to an image, whatever batch or sample it stands in.

A generator's state would tie what one image gets to those before it. Here each number is a hash of
(seed, stream, the image's id, place), by SplitMix64's mixing (Steele, Lea and Flood 2014, OOPSLA),
so that a sample of the images gets what they would get among all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


@dataclass(frozen=True, eq=False)
class Draws:
    """The draws of a batch.

    Attributes:
        ids: (N,) int64, one number for each image, on the device of the images.
        seed: of all draws.
        stream: a word; each has draws of its own.
    """

    ids: Tensor
    seed: int
    stream: str

    def uniform(self, *shape: int, part: str = "") -> Tensor:
        """(N, *shape) float32, evenly in [0, 1).

        Args:
            shape: of what each image gets; nothing is one number.
            part: a word for each kind of draw in the stream.
        """
        words = f"{self.seed} {self.stream} {part}".encode()
        start = int.from_bytes(blake2b(words, digest_size=8).digest(), "big", signed=True)
        keys = _mixed(_mixed(self.ids) + start)
        places = torch.arange(math.prod(shape), device=self.ids.device)
        bits = _mixed(keys[:, None] + (places + 1) * _GOLDEN)
        # The 24 bits that float32 holds.
        return (_shifted(bits, 40).float() / 2**24).view(len(self.ids), *shape)

    def normal(self, *shape: int, part: str = "") -> Tensor:
        """(N, *shape) float32 of the standard normal distribution (Box and Muller 1958)."""
        length = self.uniform(*shape, part=f"{part} length")
        angle = self.uniform(*shape, part=f"{part} angle")
        return (-2 * torch.log1p(-length)).sqrt() * torch.cos(2 * math.pi * angle)

    def sign(self, part: str = "sign") -> Tensor:
        """(N,) of -1 and 1, equally likely."""
        return torch.where(self.uniform(part=part) < 0.5, -1.0, 1.0)


def _mixed(bits: Tensor) -> Tensor:
    """SplitMix64's finalizer, on int64 that stand for uint64 and wrap around."""
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """To the right, with zeros coming in, where int64 would bring in the sign."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
