"""Weights of one network put into another that differs by its channels or by a tensor's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Size, Tensor, nn


@dataclass(frozen=True)
class Fit:
    """How some weights fit a module.

    Attributes:
        tensors: by the module's names and of its shapes, adapted where that was needed.
        missing: the module's names that the weights do not have.
        misshapen: names of both with shapes that cannot be adapted, and both shapes.
    """

    tensors: dict[str, Tensor]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.tensors) + len(self.missing) + len(self.misshapen)
        text = f"{len(self.tensors)} of {total} tensors match"
        if self.missing:
            text += f"; missing: {_some(self.missing)}"
        if self.misshapen:
            text += f"; of another shape: {_some(self.misshapen)}"
        return text

    @property
    def whole(self) -> bool:
        """Whether every tensor of the module is there."""
        return not self.missing and not self.misshapen


def fit_weights(weights: Mapping[str, Tensor], module: nn.Module, channels: tuple[int, int]) -> Fit:
    """Match weights to a module by name and shape; the first layer's channels are adapted.

    Args:
        weights: of another module, under the names of this one.
        module: what they are for; it is left as it is.
        channels: of the images that the weights were trained on, and of the module's images.
    """
    tensors, missing, misshapen = {}, [], []
    for name, own in module.state_dict().items():
        given = weights.get(name)
        if given is None:
            if name.endswith("num_batches_tracked"):  # only counts; old files lack it
                tensors[name] = own
            else:
                missing.append(name)
            continue
        adapted = given if given.shape == own.shape else adapt_channels(given, own.shape, channels)
        if adapted is None:
            misshapen.append(f"{name} ({_sides(given.shape)} for {_sides(own.shape)})")
        else:
            tensors[name] = adapted
    return Fit(tensors, tuple(missing), tuple(misshapen))


def adapt_channels(weight: Tensor, shape: Size, channels: tuple[int, int]) -> Tensor | None:
    """The weight of a first layer for images of other channels, or None where it is no such weight.

    A gray image gives the same outputs as the same image in three equal channels: one channel is
    spread evenly over several, and several are summed into one.

    Args:
        weight: (O, C_old * n, ...), a convolution (n = 1) or a linear layer on n pixels.
        shape: (O, C_new * n, ...), what is needed.
        channels: C_old and C_new; one of them is 1.
    """
    old, new = channels
    fits = (
        old != new
        and 1 in channels
        and weight.ndim == len(shape) >= 2
        and weight.shape[1] * new == shape[1] * old
        and (weight.shape[0], *weight.shape[2:]) == (shape[0], *shape[2:])
    )
    if not fits:
        return None
    parted = weight.reshape(shape[0], old, -1, *shape[2:])
    if new == 1:
        return parted.sum(dim=1)
    return (parted / new).expand(-1, new, *parted.shape[2:]).reshape(shape)


def _some(names: Iterable[str], count: int = 4) -> str:
    listed = list(names)
    more = f" and {len(listed) - count} more" if len(listed) > count else ""
    return ", ".join(listed[:count]) + more


def _sides(shape: Size) -> str:
    return " x ".join(map(str, shape)) or "a scalar"
