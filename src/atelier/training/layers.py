"""Which layers are trained, and how fast each."""

from __future__ import annotations

from typing import Any

from ..config import TrainConfig
from ..models import Classifier, stages_of


class Freezing:
    """Freezes a network below its head, and releases its stages one after another from the top down
    (gradual unfreezing, Howard and Ruder 2018, arXiv:1801.06146).

    What is frozen gets no gradient, so that no optimizer moves it, nor its decay; and
    `Classifier.train` leaves it in evaluation mode, so that batch norms keep their statistics. The
    optimizer may hold all parameters from the start: then its groups stay the same.

    Args:
        model: what was frozen in it already stays so.
        config: ``freeze`` and ``unfreeze_epochs``.
    """

    def __init__(self, model: Classifier, config: TrainConfig) -> None:
        self.every = config.unfreeze_epochs
        self.stages = []
        if config.freeze == "backbone":
            stages = stages_of(model.features)
            self.stages = [[p for p in stage if p.requires_grad] for stage in stages]

    def __call__(self, epoch: int) -> None:
        """Freeze and release as `epoch`, counted from 1, needs it, whatever came before."""
        released = (epoch - 1) // self.every if self.every else 0
        for height, stage in enumerate(reversed(self.stages)):
            for parameter in stage:
                parameter.requires_grad_(height < released)

    def release(self) -> None:
        """Undo all of it."""
        for stage in self.stages:
            for parameter in stage:
                parameter.requires_grad_(True)


def layer_groups(model: Classifier, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups with layer-wise learning rates: the head has `config.lr`, and each block
    below it `config.layer_decay` of the rate of the next one up (arXiv:2106.08254, appendix D).

    Args:
        model: its frozen parameters are left out.
        config: ``lr``, ``layer_decay`` and ``weight_decay``.
    """
    stages = [*stages_of(model.features, blocks=True), list(model.head.parameters())]
    groups = []
    for depth, stage in enumerate(reversed(stages)):
        for is_vector in (False, True):
            params = [p for p in stage if p.requires_grad and (p.ndim < 2) == is_vector]
            if params:
                decay = 0.0 if is_vector else config.weight_decay
                lr = config.lr * config.layer_decay**depth
                groups.append({"params": params, "weight_decay": decay, "lr": lr})
    return groups
