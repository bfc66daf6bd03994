"""scikit-learn's trees as the flat tensors of `models/classical/trees.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..data.batches import Normalizer
from ..models.classical import BoostedTrees, Forest, Trees

_ABSENT = -100.0  # the logit of a class that no training image has


class Tree(NamedTuple):
    """One tree, its nodes in any order, the root first.

    Attributes:
        is_leaf: (M,) bool.
        feature: (M,) int.
        threshold: (M,) float; a value above it goes right.
        left: (M,) int, positions in the tree.
        right: (M,) int, likewise.
        values: (M, ...) float, of leaves.
    """

    is_leaf: npt.NDArray[np.bool_]
    feature: npt.NDArray[Any]
    threshold: npt.NDArray[Any]
    left: npt.NDArray[Any]
    right: npt.NDArray[Any]
    values: npt.NDArray[Any]


def hold_forest(forest: Any, estimator: Any, normalize: Normalizer) -> None:
    """Put a `RandomForestClassifier`, fitted on bytes, into a `Forest`."""
    assert isinstance(forest, Forest)
    num_classes = forest.leaves.shape[1]
    trees = []
    for one in estimator.estimators_:
        tree = one.tree_
        counts = tree.value[:, 0]
        shares = np.zeros((len(counts), num_classes))
        shares[:, estimator.classes_] = counts / counts.sum(axis=1, keepdims=True)
        left, right = tree.children_left, tree.children_right
        trees.append(Tree(left < 0, tree.feature, tree.threshold, left, right, shares))
    forest.hold(leaves=_hold_trees(forest.trees, trees, normalize))


def hold_boosting(boosted: Any, estimator: Any, normalize: Normalizer) -> None:
    """Put a `HistGradientBoostingClassifier`, fitted on bytes, into `BoostedTrees`."""
    assert isinstance(boosted, BoostedTrees)
    num_classes = len(boosted.start)
    nothing = Tree(*(np.array([value]) for value in (True, 0, 0.0, 0, 0, 0.0)))
    # Of two classes, scikit-learn has trees for the second alone.
    fitted = estimator.classes_[-estimator.n_trees_per_iteration_ :]
    trees = []
    for iteration in estimator._predictors:
        of_class = dict(zip(fitted.tolist(), iteration, strict=True))
        for k in range(num_classes):
            if k not in of_class:
                trees.append(nothing)
                continue
            nodes = of_class[k].nodes
            trees.append(
                Tree(
                    nodes["is_leaf"].astype(bool),
                    nodes["feature_idx"],
                    nodes["num_threshold"],
                    nodes["left"].astype(np.int64),
                    nodes["right"].astype(np.int64),
                    nodes["value"],
                )
            )
    start = np.full(num_classes, _ABSENT)
    start[estimator.classes_] = 0
    start[fitted] = np.ravel(estimator._baseline_prediction)
    leaves = _hold_trees(boosted.trees, trees, normalize)
    boosted.hold(leaves=leaves, start=torch.from_numpy(start))


def _hold_trees(held: Trees, trees: Sequence[Tree], normalize: Normalizer) -> torch.Tensor:
    """Fill `held`; returns the values of all leaves, in their order."""
    total = sum(int((~tree.is_leaf).sum()) for tree in trees)
    # Where all trees are leaves there is nothing to look up, and one node that none comes to.
    inner_total = max(1, total)
    inner_done = leaves_done = 0
    parts: dict[str, list[npt.NDArray[Any]]] = {
        name: [] for name in ("feature", "threshold", "left", "right", "roots")
    }
    values, levels = [], [0]
    for tree in trees:
        inner = ~tree.is_leaf
        numbers = np.where(
            inner,
            inner_done + np.cumsum(inner) - 1,
            inner_total + leaves_done + np.cumsum(tree.is_leaf) - 1,
        )
        parts["roots"].append(numbers[:1])
        parts["feature"].append(tree.feature[inner])
        # Values are whole, so that the next whole one below decides alike.
        parts["threshold"].append(np.floor(tree.threshold[inner]).clip(0, 255))
        parts["left"].append(numbers[tree.left[inner]])
        parts["right"].append(numbers[tree.right[inner]])
        values.append(tree.values[tree.is_leaf])
        _count_levels(tree, levels)
        inner_done += int(inner.sum())
        leaves_done += int(tree.is_leaf.sum())
    arrays = {name: np.concatenate(found) for name, found in parts.items()}
    if not total:
        arrays |= {name: np.zeros(1) for name in ("feature", "threshold")}
        arrays |= {name: np.ones(1) for name in ("left", "right")}
    arrays["levels"] = np.array(levels)
    held.hold(**{name: torch.from_numpy(array) for name, array in arrays.items()})
    held.pixels.hold(normalize.mean, normalize.scale)
    return torch.from_numpy(np.concatenate(values))


def _count_levels(tree: Tree, levels: list[int]) -> None:
    """Add the inner nodes of each depth to `levels`, which grows as it must."""
    at = np.zeros(1, np.int64)
    depth = 0
    while len(at := at[~tree.is_leaf[at]]):
        if depth == len(levels):
            levels.append(0)
        levels[depth] += len(at)
        at = np.concatenate([tree.left[at], tree.right[at]])
        depth += 1
