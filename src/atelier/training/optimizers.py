"""Optimizers by name, with weight decay where it belongs."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..config import TrainConfig
from ..devices import leave_compiler_out
from ..errors import ConfigError
from ..models import Classifier
from .layers import layer_groups
from .lion import Lion
from .muon import Muon, MuonAdamW
from .sharpness import sharpness_aware

_MOMENTUM = 0.95  # of Muon beside AdamW, as its authors have it
_RADII = {"sam": 0.05, "asam": 0.5}  # of the papers, on small photos


def build_optimizer(
    model: nn.Module, config: TrainConfig, objective: object = None
) -> torch.optim.Optimizer:
    """Adam (arXiv:1412.6980), AdamW (arXiv:1711.05101), NAdam (Dozat 2016, with AdamW's decay),
    RMSprop (Tieleman and Hinton 2012), Lion, SGD with momentum, Muon on the filters of
    convolutions and SGD on the rest, or Muon on all that multiplies inside the network and AdamW on
    the rest; sharpness-aware where the recipe says so.

    Weight decay is kept off biases, norms and other vectors: shrinking them regularizes nothing.
    Every group's `lr` is its peak; the loop multiplies it by the schedule's factor. With
    `config.layer_decay` below 1, each layer has a group, and a peak, of its own.

    Args:
        model: what is trained.
        config: how.
        objective: what it is trained by; if that is a module, its parameters are trained too.

    Raises:
        ConfigError: Muon for a network without convolutions.
    """
    networks = nn.ModuleList([model])
    if isinstance(objective, nn.Module):
        networks.append(objective)
    optimizer = _named(model, config, objective)
    if config.sharpness != "none":
        radius = config.sharpness_radius or _RADII[config.sharpness]
        sharpness_aware(optimizer, networks, radius, adaptive=config.sharpness == "asam")
    return optimizer


def _named(model: nn.Module, config: TrainConfig, objective: object) -> torch.optim.Optimizer:
    trained = [p for p in model.parameters() if p.requires_grad]
    if config.optimizer == "muon":
        filters = [p for p in trained if p.ndim == 4]
        if not filters:
            raise ConfigError(
                "muon trains the filters of convolutions, and this network has none",
                fix="Set train.optimizer=adamw",
            )
        trained = [p for p in trained if p.ndim != 4]
    parts = objective.parameters() if isinstance(objective, nn.Module) else ()
    own = [p for p in parts if p.requires_grad]
    trained += own
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    if config.layer_decay < 1:
        groups = layer_groups(cast(Classifier, model), config)
        if own:
            groups.append({"params": own, "weight_decay": config.weight_decay, "lr": config.lr})
    if config.optimizer == "muon":
        if not config.compile:  # torch's own optimizers import it in their steps all the same
            methods = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
            leave_compiler_out(torch.optim.Optimizer, *methods)
        others = [{**group, "lr": config.sgd_lr} for group in groups if group["params"]]
        return Muon(filters, others, lr=config.lr, momentum=config.momentum)
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(
                groups,
                lr=config.lr,
                momentum=config.momentum,
                # Nesterov's step is defined by the momentum it looks ahead with.
                nesterov=config.nesterov and config.momentum > 0,
                fused=True,
            )
        case "muon-adamw":
            return MuonAdamW(
                _orthogonalizing(groups, inner_weights(model)), lr=config.lr, momentum=_MOMENTUM
            )
        case "lion":
            return Lion(groups, lr=config.lr)
        case "nadam":
            return torch.optim.NAdam(groups, lr=config.lr, decoupled_weight_decay=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=config.lr)
        case "adam":
            return torch.optim.Adam(groups, lr=config.lr, fused=True)
        case _:
            return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def inner_weights(model: nn.Module) -> set[Tensor]:
    """Weights of dense layers and convolutions below the head, but for convolutions in groups: the
    depthwise ones are no matrices from many inputs to many outputs."""
    below = model.features if isinstance(model, Classifier) else model
    return {
        module.weight
        for module in below.modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }


def _orthogonalizing(groups: list[dict[str, Any]], inner: set[Tensor]) -> list[dict[str, Any]]:
    """Each group as two, with what is in `inner` and what is not, where there is such."""
    parts = []
    for group in groups:
        for chosen in (True, False):
            params = [p for p in group["params"] if (p in inner) == chosen]
            if params:
                parts.append({**group, "params": params, "orthogonalize": chosen})
    return parts
