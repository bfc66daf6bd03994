"""Learning-rate schedules, each a factor of the recipe's `lr`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import takewhile

from ..config import TrainConfig


class Schedule:
    """The factor at any time of the training; warm-up comes first in all of them.

    constant    1
    step        `step_factor` to the number of `step_epochs` that have passed
    plateau     `step_factor` whenever validation has not got better for `step_epochs` epochs
    cosine      half a cosine from 1 to 0 (Loshchilov and Hutter 2017, arXiv:1608.03983)
    restarts    such a half cosine in each cycle, the next `cycle_growth` times as long (SGDR, the
                same paper, equation 5); the cycles end with whole epochs, and the warm-up is a part
                of the first
    one-cycle   a line from 1 to 0 (Smith and Topin 2018, arXiv:1708.07120, without the momentum)

    Args:
        config: of the training.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self._plateau_factor = 1.0

    def factor(self, epoch: float) -> float:
        """What to multiply `lr` by when `epoch` epochs, fractions allowed, have passed."""
        c = self.config
        if epoch < c.warmup_epochs:
            # Not from zero: the first step should move something.
            return max(0.01, epoch / c.warmup_epochs)
        progress = min(1.0, (epoch - c.warmup_epochs) / (c.num_epochs - c.warmup_epochs))
        match c.schedule:
            case "constant":
                return 1.0
            case "step":
                return c.step_factor ** math.floor((epoch - c.warmup_epochs) / c.step_epochs)
            case "plateau":
                return self._plateau_factor
            case "cosine":
                return _half_cosine(progress)
            case "restarts":
                start, end = next(s for s in _cycles(c) if epoch < s[1])
                start = max(start, c.warmup_epochs)
                return _half_cosine((epoch - start) / (end - start))
            case "one-cycle":
                return 1 - progress

    def observe(self, accuracies: list[float]) -> None:
        """Take in the validation accuracies of all epochs so far; only plateau looks at them."""
        best, since, drops = -1.0, 0, 0
        for accuracy in accuracies:
            since = 0 if accuracy > best else since + 1
            best = max(best, accuracy)
            if since == self.config.step_epochs:
                since, drops = 0, drops + 1
        self._plateau_factor = self.config.step_factor**drops


def ends_of_cycles(config: TrainConfig) -> list[int]:
    """The epochs, from 1, with which the whole cycles of the restarts schedule end: there the
    learning rate is lowest, and the weights are worth keeping (Huang et al. 2017,
    arXiv:1704.00109)."""
    ends = (end for _, end in _cycles(config))
    return list(takewhile(lambda end: end <= config.num_epochs, ends))


def more_cycles(config: TrainConfig) -> dict[str, int]:
    """Settings with which as many epochs are three whole cycles, or two where three do not fit."""
    for cycles in (3, 2):
        parts = sum(config.cycle_growth**cycle for cycle in range(cycles))
        if config.num_epochs >= parts:
            return {"train.cycle_epochs": config.num_epochs // parts}
    alike = {"train.cycle_epochs": 1, "train.cycle_growth": 1}
    return alike if config.num_epochs > 1 else {**alike, "train.num_epochs": 2}


def _cycles(config: TrainConfig) -> Iterator[tuple[float, int]]:
    """Where each cycle begins and ends, in epochs."""
    start, length = 0, config.cycle_epochs
    while True:
        yield start, start + length
        start, length = start + length, length * config.cycle_growth


def _half_cosine(progress: float) -> float:
    """From 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))
