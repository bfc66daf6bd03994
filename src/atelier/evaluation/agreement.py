"""How much alike models answer, right or wrong.

Two models of equal accuracy may err on the same images or on others; only in the second case is
there something to gain from asking both. The kappa is that of Cohen 1960, Educational and
Psychological Measurement 20(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..predictions import Predictions

_Matrix = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Agreement:
    """Of M recipes, how much alike each two answer; M x M, symmetric.

    Off the diagonal each recipe is seen by the same seed as the other where they share one, else by
    its lowest. On the diagonal stands the mean over each two seeds of one recipe, which is what
    training again does by itself; None where there is one seed.

    Attributes:
        names: of the recipes.
        same: the share of images that get the same answer.
        kappa: the same beyond chance (Cohen 1960); 1 is always, 0 is by chance.
        shared_errors: of the images that at least one of the two gets wrong, the share that both
            do; 1 where neither errs.
    """

    names: tuple[str, ...]
    same: _Matrix
    kappa: _Matrix
    shared_errors: _Matrix


def agreement_of(runs: Mapping[str, Mapping[int, Predictions]]) -> Agreement:
    """How much alike recipes answer on the same images.

    Args:
        runs: for each recipe, its predictions by seed, ascending.
    """
    names, size = list(runs), len(runs)
    cells: list[list[tuple[float | None, ...]]] = [[(None,) * 3] * size for _ in names]
    for i, a in enumerate(names):
        for j, b in enumerate(names[i:], start=i):
            pairs = _own_pairs(list(runs[a].values())) if i == j else [_pair(runs[a], runs[b])]
            if pairs:
                values = np.mean([alike(*pair) for pair in pairs], axis=0)
                cells[i][j] = cells[j][i] = tuple(values.tolist())
    same, kappa, shared = (tuple(tuple(cell[k] for cell in row) for row in cells) for k in range(3))
    return Agreement(tuple(names), same, kappa, shared)


def alike(a: Predictions, b: Predictions) -> tuple[float, float, float]:
    """(share of equal answers, Cohen's kappa, share of shared errors) of two models."""
    same = float((a.predicted == b.predicted).mean())
    shares = [np.bincount(p.predicted, minlength=len(p.classes)) / len(p) for p in (a, b)]
    by_chance = float((shares[0] * shares[1]).sum())
    kappa = 1.0 if by_chance >= 1 else (same - by_chance) / (1 - by_chance)
    return same, kappa, shared_errors(~a.correct, ~b.correct)


def shared_errors(wrong_a: npt.NDArray[np.bool_], wrong_b: npt.NDArray[np.bool_]) -> float:
    """Of the images that at least one model gets wrong, the share that both do (Jaccard)."""
    either = int((wrong_a | wrong_b).sum())
    return int((wrong_a & wrong_b).sum()) / either if either else 1.0


def _pair(
    a: Mapping[int, Predictions], b: Mapping[int, Predictions]
) -> tuple[Predictions, Predictions]:
    common = next((seed for seed in a if seed in b), None)
    if common is None:
        return next(iter(a.values())), next(iter(b.values()))
    return a[common], b[common]


def _own_pairs(members: Sequence[Predictions]) -> list[tuple[Predictions, Predictions]]:
    return [(a, b) for i, a in enumerate(members) for b in members[i + 1 :]]
