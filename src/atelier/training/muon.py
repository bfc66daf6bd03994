"""Muon for matrices, with Nesterov SGD or AdamW for everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# The quintic of Jordan et al. (2024): five steps bring every singular value near 1.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalized by Newton-Schulz (Jordan et al. 2024, "Muon: an optimizer for hidden
    layers in neural networks"; the variant of KellerJordan/cifar10-airbench).

    Each filter bank, seen as a matrix of one row for each output channel, moves along the nearest
    orthogonal matrix to its Nesterov momentum, and is kept at the norm ``sqrt(rows)``: the
    normalization that follows a convolution makes its scale meaningless, and a fixed norm keeps
    what a step of `lr` means. Everything else learns by SGD with Nesterov momentum.

    Args:
        filters: weights of two dimensions or more to orthogonalize.
        others: parameter groups of SGD, each a dict as torch's optimizers take them, with
            ``params``, ``lr`` and ``weight_decay``.
        lr: of the filters: the size of a step relative to the weights.
        momentum: of both.
    """

    def __init__(
        self,
        filters: Iterable[Tensor],
        others: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
    ) -> None:
        groups = [
            {"params": list(filters), "orthogonalize": True},
            *({**group, "orthogonalize": False} for group in others),
        ]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})

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
            if group["weight_decay"]:
                gradients = list(
                    torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
                )
            buffers = [_momentum_buffer(self, p) for p in weights]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, gradients)
            moves = list(torch._foreach_add(gradients, buffers, alpha=group["momentum"]))
            if group["orthogonalize"]:
                moves = _orthogonalized(weights, moves)
            _move(weights, moves, group["lr"])
        return loss


class MuonAdamW(torch.optim.Optimizer):
    """Momentum orthogonalized by Newton-Schulz for some groups, and AdamW for the others.

    A group with ``orthogonalize`` moves each of its weights, seen as an (R, C) matrix of one row
    for each output, by ``lr * 0.2 * sqrt(max(R, C))`` along the nearest orthogonal matrix to its
    Nesterov momentum, after decoupled weight decay (Liu et al. 2025, "Muon is scalable for LLM
    training", arXiv:2502.16982, section 2.2): the size of AdamW's steps, so that a rate and a decay
    that are good for one are good for the other. For what no normalization follows at once, where
    `Muon`'s fixed norm would take the scale away that the network computes with.

    Args:
        groups: each a dict as torch's optimizers take them, and whether to ``orthogonalize``.
        lr: where a group has none of its own.
        momentum: of what is orthogonalized.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float) -> None:
        # It is told before each step which groups are its own, and has their settings.
        self._adamw = torch.optim.AdamW([torch.zeros(())], lr=lr, fused=True)
        super().__init__(groups, {**self._adamw.defaults, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move once; `closure` computes the gradients, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._adamw.state = self.state
        self._adamw.param_groups = [g for g in self.param_groups if not g["orthogonalize"]]
        self._adamw.step()
        for group in self.param_groups:
            if group["orthogonalize"]:
                self._turn(group)
        return loss

    def _turn(self, group: dict[str, Any]) -> None:
        weights = [p for p in group["params"] if p.grad is not None]
        if not weights:
            return
        gradients = [p.grad for p in weights]
        buffers = [_momentum_buffer(self, p) for p in weights]
        torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
        moves = list(torch._foreach_lerp(gradients, buffers, group["momentum"]))
        moves = _orthogonal_moves(weights, moves)
        sizes = [0.2 * max(len(p), p[0].numel()) ** 0.5 for p in weights]
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_mul_(moves, sizes)
        _move(weights, moves, group["lr"])


def _move(weights: list[Tensor], moves: list[Tensor], lr: float | Tensor) -> None:
    """Against the moves, by a rate that is a number, or a tensor where the step is recorded."""
    if isinstance(lr, Tensor):
        torch._foreach_sub_(weights, torch._foreach_mul(moves, lr))
    else:
        torch._foreach_add_(weights, moves, alpha=-lr)


def _momentum_buffer(optimizer: torch.optim.Optimizer, weight: Tensor) -> Tensor:
    state = optimizer.state[weight]
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = torch.zeros_like(weight)
    buffer: Tensor = state["momentum_buffer"]
    return buffer


def _orthogonalized(weights: list[Tensor], moves: list[Tensor]) -> list[Tensor]:
    """The moves made orthogonal; the weights get their norm back here."""
    norms = torch._foreach_norm(weights)
    torch._foreach_clamp_min_(norms, 1e-12)
    torch._foreach_div_(weights, list(norms))
    torch._foreach_mul_(weights, [len(weight) ** 0.5 for weight in weights])
    return _orthogonal_moves(weights, moves)


def _orthogonal_moves(weights: list[Tensor], moves: list[Tensor]) -> list[Tensor]:
    """The moves made orthogonal; matrices of one shape go through the products together, for small
    ones cost their calls and not their arithmetic."""
    results = list(moves)
    by_shape: dict[torch.Size, list[int]] = {}
    for index, weight in enumerate(weights):
        by_shape.setdefault(weight.shape, []).append(index)
    for shape, indices in by_shape.items():
        matrices = torch.stack([results[i].reshape(shape[0], -1) for i in indices])
        for i, matrix in zip(indices, orthogonalize(matrices), strict=True):
            results[i] = matrix.view(shape)
    return results


def orthogonalize(matrices: Tensor) -> Tensor:
    """Replace the singular values of (N, R, C) matrices by values near 1 (0.7 to 1.2), by
    Newton-Schulz iteration: matrix products alone, no decomposition.

    A step is ``X <- (A + B S + C S^2) X`` with ``S = X X^T``. All these polynomials are of the
    first S and commute, so that the steps are taken on R x R matrices and X is multiplied once, at
    the end: for 3x3 filters, nine times as many columns as rows, 40 % of the arithmetic.
    """
    x: Tensor = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    square = x @ x.mT
    identity = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    product = identity.expand_as(square)
    for _ in range(_STEPS):
        polynomial = torch.baddbmm(square, square, square, beta=_B, alpha=_C) + _A * identity
        product = polynomial @ product
        square = polynomial @ square @ polynomial
    result: Tensor = product @ x
    return result.mT if tall else result
