"""For whom a run works less well: accuracy by class, by how pictures look, and by where they lie.

How pictures look is cut into quarters within each class, so that each quarter has the same mixture
of classes: a dark quarter that fails more does so because it is dark, not because it has more coats
in it. Each group is tested against all other images, and the p-values are corrected for their
number (Holm 1979), for among twenty groups one is always worst.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from ..data import ImageSplit
from ..evaluation.significance import holm, wilson_interval

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_DISTINCT = 25  # levels from the background on that a pixel belongs to the garment
_PARTS = 4
_FEWEST = 10  # images; fewer have no place in a ranking
MOST_VALUES = 50  # of a folder or a column; more are no groups but names of single products
ALPHA = 0.05

LOOKS = {
    "brightness": ("darkest", "lightest"),
    "contrast": ("flattest", "strongest"),
    "size": ("smallest", "largest"),
    "side": ("leftmost", "rightmost"),
}


@dataclass(frozen=True)
class Group:
    """The images that have something in common.

    Attributes:
        kind: ``class``, one of `LOOKS`, ``folder``, or the name of a table's column.
        name: of the group, among those of its kind.
        n: how many images.
        right: how many of them are read rightly.
        p: two-sided, of Fisher's exact test against all other images; 1 where there are none.
        p_corrected: the same, for the number of groups (Holm 1979).
    """

    kind: str
    name: str
    n: int
    right: int
    p: float = 1.0
    p_corrected: float = 1.0

    @property
    def accuracy(self) -> float:
        """The share that is read rightly."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.right, self.n)

    @property
    def is_rated(self) -> bool:
        """Whether it has images enough to be compared with others."""
        return self.n >= _FEWEST

    @property
    def differs(self) -> bool:
        """Whether more than chance sets it apart from the others."""
        return self.is_rated and self.p_corrected < ALPHA


def groups_of(
    split: ImageSplit,
    correct: npt.NDArray[np.bool_],
    classes: Sequence[str],
    *,
    background: int,
    files: Sequence[str] | None = None,
    told: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Group, ...]:
    """Accuracy in every group, tested.

    Args:
        split: N images.
        correct: (N,) whether each was read rightly.
        classes: the class names.
        background: byte of what is no garment.
        files: path of each image, by its id; None where there are no files.
        told: by kind, N names of the groups that the images belong to.

    Returns:
        Of each kind its groups in order; kinds of which all images are in one group are left out.
    """
    members = [
        ("class", name, split.labels == number)
        for number, name in enumerate(classes)
        if (split.labels == number).any()
    ]
    for kind, values in _looks(split.images, background).items():
        parts = _quarters(values, split.labels)
        first, last = LOOKS[kind]
        names = [f"{first} quarter", "second quarter", "third quarter", f"{last} quarter"]
        members += [
            (kind, name, parts == number)
            for number, name in enumerate(names)
            if (parts == number).any()
        ]
    if files is not None:
        folders = [_folder(files[number], classes) for number in split.ids.tolist()]
        if 1 < len(set(folders)) <= MOST_VALUES:
            members += _named("folder", folders)
    for kind, said in (told or {}).items():
        members += _named(kind, said)
    counted = [(kind, name, int(at.sum()), int(correct[at].sum())) for kind, name, at in members]
    n, right = len(correct), int(correct.sum())
    p_values = [_fisher(own_right, own, right, n) for _, _, own, own_right in counted]
    corrected = holm(p_values)
    return tuple(
        Group(*one, p, adjusted)
        for one, p, adjusted in zip(counted, p_values, corrected, strict=True)
    )


def worst_of(groups: Sequence[Group]) -> Group | None:
    """The group of the least accuracy among those that more than chance sets below the others;
    None where no group is."""
    n = sum(group.n for group in groups if group.kind == "class")
    right = sum(group.right for group in groups if group.kind == "class")
    below = [group for group in groups if group.differs and group.right * n < right * group.n]
    return min(below, key=lambda group: group.accuracy, default=None)


def _looks(
    images: npt.NDArray[np.uint8], background: int
) -> dict[str, npt.NDArray[np.floating[np.typing.NBitBase]]]:
    """Of each image: mean and deviation of its gray, the share of its pixels that are garment and
    not background, and how far to the right their middle is, in -1..1."""
    floats = images.astype(np.float32)
    shares = _LUMA if images.shape[1] == 3 else np.full(images.shape[1], 1 / images.shape[1])
    gray = np.tensordot(floats, shares.astype(np.float32), axes=([1], [0]))
    apart = np.abs(gray - background)
    inside = apart > _DISTINCT
    width = images.shape[-1]
    right = (2 * np.arange(width) + 1) / width - 1
    mass = inside.sum(axis=1)
    return {
        "brightness": gray.mean(axis=(1, 2)),
        "contrast": gray.std(axis=(1, 2)),
        "size": inside.mean(axis=(1, 2)),
        "side": (mass * right).sum(axis=1) / np.maximum(mass.sum(axis=1), 1),
    }


def _quarters(
    values: npt.NDArray[np.floating[np.typing.NBitBase]], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(N,) 0 to 3, by rank among the images of the same class."""
    parts = np.zeros(len(values), np.int64)
    for label in np.unique(labels):
        at = np.flatnonzero(labels == label)
        ranks = np.empty(len(at), np.int64)
        ranks[np.argsort(values[at], kind="stable")] = np.arange(len(at))
        parts[at] = ranks * _PARTS // len(at)
    return parts


def _folder(file: str, classes: Sequence[str]) -> str:
    """Where a file lies, without the names of parts and classes."""
    known = {*classes, "train", "validation", "val", "valid", "test"}
    return "/".join(part for part in PurePath(file).parent.parts if part not in known)


def _named(kind: str, names: Sequence[str]) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    array = np.array(names)
    return [(kind, name or "(none)", array == name) for name in sorted(set(names))]


def _fisher(right: int, n: int, all_right: int, all_n: int) -> float:
    from scipy.stats import fisher_exact

    rest, rest_right = all_n - n, all_right - right
    if not rest:
        return 1.0
    table = np.array([[right, n - right], [rest_right, rest - rest_right]])
    return float(fisher_exact(table).pvalue)
