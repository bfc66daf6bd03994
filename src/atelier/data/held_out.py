"""Classes by name or number, to be kept out of a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, did_you_mean


def class_numbers(named: Sequence[str | int], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """Sorted positions in `classes`.

    Args:
        named: names, or positions from 0, as numbers or as text. A name comes before a number.
        classes: of the data set.

    Raises:
        ConfigError: there is no such class, or one is named twice.
    """
    numbers = [_number(name, classes) for name in named]
    twice = [name for name, number in zip(named, numbers, strict=True) if numbers.count(number) > 1]
    if twice:
        raise ConfigError("a class is named twice", got=twice[0], fix="Name each class once")
    return np.array(sorted(numbers), np.int64)


def _number(name: str | int, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(str(name))
    if isinstance(name, int) or name.isdecimal():
        if 0 <= int(name) < len(classes):
            return int(name)
        allowed = f"0 to {len(classes) - 1}"
        raise ConfigError("there is no class of this number", got=name, allowed=allowed)
    raise ConfigError("unknown class", got=name, fix=did_you_mean(name, classes))
