"""Sharpness-aware minimization: SAM and ASAM, around any optimizer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .averaging import statistics_kept

_STABILITY = 0.01  # eta of ASAM, section 5: weights of nearly zero can be moved all the same


def sharpness_aware(
    optimizer: torch.optim.Optimizer, model: nn.Module, radius: float, *, adaptive: bool
) -> None:
    """Let `optimizer` step by the gradient of where the loss is highest nearby.

    Its closure is called twice: at the weights ``w``, and at ``w + e``, to first order the worst
    within the radius ``rho``. The gradient of the second call moves ``w``. With the gradient ``g``,
    over all weights together::

        e = rho g / |g|             SAM (Foret et al. 2021, arXiv:2010.01412, equation 2)
        e = rho T^2 g / |T g|       ASAM (Kwon et al. 2021, arXiv:2102.11600, equation 8),
                                    T = |w| + 0.01, element by element

    Batch norms keep the statistics of the first call, whose loss is the one returned. Nothing has
    to be kept between two steps.

    Args:
        optimizer: of any kind that calls its closure once; changed in place.
        model: whose batch norms are left alone in the second call.
        radius: ``rho``.
        adaptive: ASAM instead of SAM.
    """

    def before_step(
        optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        *others, closure = args  # torch passes the optimizer itself, too

        def both() -> Any:
            loss = closure()
            weights = [
                p for group in optimizer.param_groups for p in group["params"] if p.grad is not None
            ]
            before = [weight.detach().clone() for weight in weights]
            _climb(weights, radius, adaptive=adaptive)
            try:
                with statistics_kept(model):
                    closure()
            finally:
                with torch.no_grad():
                    torch._foreach_copy_(weights, before)
            return loss

        return (*others, both), kwargs

    optimizer.register_step_pre_hook(before_step)


@torch.no_grad()
def _climb(weights: list[Tensor], radius: float, *, adaptive: bool) -> None:
    """Move to where the loss is highest nearby, in place."""
    moves = [weight.grad for weight in weights if weight.grad is not None]
    scales: list[Tensor] = []
    if adaptive:
        scales = list(torch._foreach_abs(weights))
        torch._foreach_add_(scales, _STABILITY)
        moves = list(torch._foreach_mul(moves, scales))
    norm = torch.stack(torch._foreach_norm(moves)).norm().clamp(min=1e-12)
    if adaptive:
        torch._foreach_mul_(moves, scales)
    torch._foreach_add_(weights, torch._foreach_mul(moves, radius / norm))
