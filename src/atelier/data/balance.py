"""How evenly the classes are filled, said before anyone trusts a result."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FEW_TO_LEARN = 20
FEW_TO_JUDGE = 10
UNEVEN = 5.0
_NAMED = 5


def balance_warnings(
    classes: Sequence[str],
    training: npt.NDArray[np.int64],
    validation: npt.NDArray[np.int64] | None = None,
) -> list[str]:
    """Sentences on classes with too few images, none where all is well.

    Warned of are classes with fewer than 20 training images, a largest class that is over five
    times the smallest, and classes with fewer than 10 validation images.

    Args:
        classes: K names.
        training: (N,) labels, positions in `classes`.
        validation: (M,) labels; None where nothing is held out.
    """
    counts = np.bincount(training, minlength=len(classes))
    warnings = []
    few = np.flatnonzero(counts < FEW_TO_LEARN)
    if len(few):
        warnings.append(
            f"fewer than {FEW_TO_LEARN} training images of {_named(classes, counts, few)}: "
            "too few to learn from; add images, or merge classes"
        )
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[smallest] and counts[largest] > UNEVEN * counts[smallest]:
        warnings.append(
            f"the largest class, {classes[largest]} ({counts[largest]:,} training images), has "
            f"{counts[largest] / counts[smallest]:.1f} times as many as the smallest, "
            f"{classes[smallest]} ({counts[smallest]:,}): look at balanced accuracy"
        )
    if validation is not None:
        held = np.bincount(validation, minlength=len(classes))
        few = np.flatnonzero(held < FEW_TO_JUDGE)
        if len(few):
            warnings.append(
                f"fewer than {FEW_TO_JUDGE} validation images of {_named(classes, held, few)}: "
                "the accuracy of such a class is a guess"
            )
    return warnings


def _named(
    classes: Sequence[str], counts: npt.NDArray[np.int64], chosen: npt.NDArray[np.int64]
) -> str:
    """``hat (3), skirt (12) and 4 more classes``, the smallest first."""
    order = chosen[np.argsort(counts[chosen], kind="stable")]
    words = [f"{classes[k]} ({counts[k]:,})" for k in order[:_NAMED]]
    more = len(order) - len(words)
    if more:
        words.append(f"{more} more {'class' if more == 1 else 'classes'}")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
