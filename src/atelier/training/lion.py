"""Lion: the sign of its momentum."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class Lion(torch.optim.Optimizer):
    """Every weight moves by the learning rate, in the direction that gradient and momentum agree on
    (Chen et al. 2023, arXiv:2302.06675, algorithm 2), with decoupled weight decay.

    Because the size of a step does not depend on that of the gradient, it wants a third to a tenth
    of AdamW's learning rate, and as many times its weight decay (section 5).

    Args:
        groups: parameters, or groups of them as torch's optimizers take them.
        lr: how far each weight moves in a step.
        betas: the momentum's share in the direction, and its decay.
        weight_decay: what each weight loses, as a share of itself times `lr`.
    """

    def __init__(
        self,
        groups: Iterable[Tensor] | Iterable[dict[str, Any]],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move once; `closure` computes the gradients, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            gradients = [p.grad for p in weights]
            momenta = [self._momentum_of(p) for p in weights]
            share, decay = group["betas"]
            moves = list(torch._foreach_lerp(gradients, momenta, share))
            torch._foreach_sign_(moves)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, moves, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1 - decay)
        return loss

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum"]
        return momentum
