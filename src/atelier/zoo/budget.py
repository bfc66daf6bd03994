"""One budget for every contender: its schedule is stretched to what it may spend."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..config import Recipe
from ..errors import ConfigError

Kind = Literal["own", "epochs", "seconds", "flops"]
_TRAINING_FLOPS = 6
"""Of each multiply-add of the forward pass: two there, and twice as many on the way back."""


@dataclass(frozen=True)
class Budget:
    """What each training may spend.

    Attributes:
        kind: ``own`` leaves each recipe its own epochs.
        amount: of epochs, seconds or floating-point operations.
    """

    kind: Kind = "own"
    amount: float = 0.0

    @classmethod
    def of(cls, *, epochs: int | None, seconds: float | None, flops: float | None) -> Budget:
        """The one that is given, or each recipe's own.

        Raises:
            ConfigError: more than one, or none that is above zero.
        """
        given: dict[Kind, float | None] = {"epochs": epochs, "seconds": seconds, "flops": flops}
        named = [(kind, amount) for kind, amount in given.items() if amount is not None]
        if len(named) > 1:
            words = " and ".join(kind for kind, _ in named)
            raise ConfigError("the budget is one of three", got=words, allowed=list(given))
        if not named:
            return cls()
        kind, amount = named[0]
        if not 0 < amount < math.inf:
            raise ConfigError(f"the budget of {kind} is out of range", got=amount, allowed="over 0")
        return cls(kind, float(amount))

    @property
    def slug(self) -> str:
        """For a folder's name: ``epochs-5``."""
        return self.kind if self.kind == "own" else f"{self.kind}-{self.amount:g}".replace("+", "")

    def __str__(self) -> str:
        if self.kind == "own":
            return "each recipe's own epochs"
        unit = {"epochs": "epochs", "seconds": "seconds of training", "flops": "FLOP"}[self.kind]
        return f"{self.amount:g} {unit} each"

    def epochs(self, *, images: int, multiply_adds: int, pace: Callable[[], float]) -> int:
        """How many epochs a training may have; 0 where one is too many.

        Args:
            images: of an epoch.
            multiply_adds: of one image's forward pass.
            pace: measures the seconds of an epoch; called for a budget of seconds alone.
        """
        match self.kind:
            case "epochs":
                return int(self.amount)
            case "seconds":
                return math.floor(self.amount / pace())
            case _:
                return math.floor(self.amount / (_TRAINING_FLOPS * multiply_adds * images))


def stretched(recipe: Recipe, num_epochs: int) -> Recipe:
    """The recipe with so many epochs, its warm-up and its steps in proportion.

    Args:
        recipe: with the schedule that it was written for.
        num_epochs: at least 1.
    """
    share = num_epochs / recipe.train.num_epochs
    warmup = min(recipe.train.warmup_epochs * share, 0.5 * num_epochs)
    return recipe.changed(
        {
            "train.num_epochs": num_epochs,
            "train.warmup_epochs": round(warmup, 4),
            "train.step_epochs": max(1, round(recipe.train.step_epochs * share)),
        }
    )
