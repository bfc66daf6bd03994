"""Which of the judged images a measurement takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def stratified(labels: npt.NDArray[np.int64], n: int | None, seed: int) -> npt.NDArray[np.int64]:
    """Positions of `n` images, of each class its share of all but for an image or two.

    Args:
        labels: (N,).
        n: how many; None, or more than there are, is all.
        seed: of the draw. Fewer images of one seed are among the more of the same.

    Returns:
        Ascending positions.
    """
    if n is None or n >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    # Each image's place among its class, as a share: the least of these are as even as can be.
    order = np.empty(len(labels))
    for label in np.unique(labels):
        at = shuffled[labels[shuffled] == label]
        order[at] = (np.arange(len(at)) + rng.random()) / len(at)
    return np.sort(np.argsort(order, kind="stable")[:n])
