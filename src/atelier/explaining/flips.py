"""What single change of an image turns the answer into another class.

Two kinds of change: the whole image mirrored, moved, turned, lighter or darker, of which the least
is told; and patches covered in the color of the background, chosen greedily, as few as will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from .subject import Subject

_CELLS = 7  # of the grid of patches, on the longer side
_MOST_COVERED = 0.3  # of the image; more is another image
_SHIFTS = (1, 2, 3, 4)  # of 28 parts of the longer side
_TURNS = (5, 10, 15, 20)
_LIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5)

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Flip:
    """A change of an image that turns the answer.

    Attributes:
        change: in words, as "covering 3 of 49 patches, at the top".
        became: the class that the changed image is taken for.
        probability: of that class, calibrated.
        difference: of the pixels, on the average, as a share of 255.
        pixels: (C, H, W) uint8, the changed image.
        covered: (P, 4) rows of top, left, bottom and right of the patches, in pixels; none where
            the whole image was changed.
    """

    change: str
    became: str
    probability: float
    difference: float
    pixels: Pixels
    covered: npt.NDArray[np.int64]

    def __str__(self) -> str:
        return f"{self.change} turns it into {self.became} ({100 * self.probability:.0f} %)"


def least_change(subject: Subject, image: Pixels, wanted: int | None = None) -> Flip | None:
    """The change of the whole image that turns the answer and changes its pixels least; None where
    none of them turns it.

    Args:
        subject: who answers.
        image: (C, H, W) uint8.
        wanted: the class that it must turn into; None is any other.
    """
    candidates = list(_changes(image, subject.card.background))
    changed = np.stack([pixels for _, pixels in candidates])
    probs = subject.probs(np.concatenate([image[None], changed]))
    answers = probs.argmax(axis=1)
    turned = answers[1:] != answers[0] if wanted is None else answers[1:] == wanted
    differences = np.abs(changed.astype(np.float64) - image).mean(axis=(1, 2, 3)) / 255
    if not turned.any() or answers[0] == wanted:
        return None
    best = int(np.where(turned, differences, np.inf).argmin())
    became = int(answers[1 + best])
    return Flip(
        candidates[best][0],
        subject.card.classes[became],
        float(probs[1 + best, became]),
        float(differences[best]),
        changed[best],
        np.empty((0, 4), np.int64),
    )


def least_cover(subject: Subject, image: Pixels, wanted: int | None = None) -> Flip | None:
    """Few patches whose covering turns the answer; None where a third of the image does not.

    Each step covers the patch that brings the answer nearest to turning; at the end each that is
    not needed is uncovered again, so that no patch can be left out. It need not be the least number
    of patches that there is.

    Args:
        subject: who answers.
        image: (C, H, W) uint8.
        wanted: the class that it must turn into; None is any other.
    """
    patches = _patches(image.shape[1], image.shape[2])
    background = subject.card.background
    # A patch of background alone stays what it is.
    useful = [k for k, p in enumerate(patches) if (_inside(image, p) != background).any()]
    logits = subject.predictor.logits(image[None])[0]
    called = int(logits.argmax())
    if called == wanted:
        return None

    def leads(covers: list[list[int]]) -> npt.NDArray[np.float64]:
        """By how much the answer leads before what it is to turn into, under each cover."""
        many = np.stack([_covered(image, [patches[k] for k in c], background) for c in covers])
        logits = subject.predictor.logits(many).astype(np.float64)
        others = np.delete(logits, called, axis=1)
        if wanted is None:
            return np.asarray(logits[:, called] - others.max(axis=1))
        beaten = np.delete(logits, wanted, axis=1).max(axis=1)
        return np.asarray(beaten - logits[:, wanted])

    chosen: list[int] = []
    lead = math.inf
    while lead >= 0:
        left = [k for k in useful if k not in chosen]
        if not left or len(chosen) + 1 > _MOST_COVERED * len(patches):
            return None
        by_patch = leads([[*chosen, k] for k in left])
        best = int(by_patch.argmin())
        chosen, lead = [*chosen, left[best]], float(by_patch[best])
    for k in list(chosen):
        without = [other for other in chosen if other != k]
        if without and leads([without])[0] < 0:
            chosen = without
    boxes = [patches[k] for k in sorted(chosen)]
    pixels = _covered(image, boxes, background)
    (probs,) = subject.probs(pixels[None])
    became = int(probs.argmax())
    weight = np.zeros(image.shape[1:])
    for box in boxes:
        _inside(weight[None], box)[:] = 1
    count = f"{len(boxes)} of {len(patches)} patches"
    return Flip(
        f"covering {count}, most {region_of(weight)},",
        subject.card.classes[became],
        float(probs[became]),
        float(np.abs(pixels.astype(np.float64) - image).mean() / 255),
        pixels,
        np.array(boxes, np.int64),
    )


def region_of(weights: npt.NDArray[np.floating[Any]]) -> str:
    """In which ninth of the image most of some (H, W) weights lies, in words; they are at least 0.

    A ninth is a third of each side.
    """
    if weights.max() <= 0:
        return "nowhere"
    rows, columns = (np.linspace(0, side, 4).round().astype(int) for side in weights.shape)
    ninths = np.array(
        [
            [weights[top:bottom, left:right].sum() for left, right in pairwise(columns)]
            for top, bottom in pairwise(rows)
        ]
    )
    row, column = divmod(int(ninths.argmax()), 3)
    vertical, horizontal = ("top", "", "bottom")[row], ("left", "", "right")[column]
    if not vertical and not horizontal:
        return "in the middle"
    return f"at the {' '.join(word for word in (vertical, horizontal) if word)}"


def _patches(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Top, left, bottom and right of the squares of a grid over the image."""
    side = -(-max(height, width) // _CELLS)
    return [
        (top, left, min(top + side, height), min(left + side, width))
        for top in range(0, height, side)
        for left in range(0, width, side)
    ]


def _inside(image: npt.NDArray[Any], box: tuple[int, int, int, int]) -> npt.NDArray[Any]:
    top, left, bottom, right = box
    return image[:, top:bottom, left:right]


def _covered(image: Pixels, boxes: list[tuple[int, int, int, int]], background: int) -> Pixels:
    result = image.copy()
    for box in boxes:
        _inside(result, box)[:] = background
    return result


def _changes(image: Pixels, background: int) -> Iterator[tuple[str, Pixels]]:
    """The changes of a whole image that are tried, in words, and what they make of it."""
    floats = torch.from_numpy(image.astype(np.float32))[None]
    yield "mirroring it", image[..., ::-1].copy()
    longest = max(image.shape[1:])
    for step in _SHIFTS:
        by = max(1, round(step * longest / 28))
        for words, down, right in (
            ("up", -by, 0),
            ("down", by, 0),
            ("left", 0, -by),
            ("right", 0, by),
        ):
            pixels = f"{by} pixel{'s' if by > 1 else ''}"
            yield f"moving it {pixels} {words}", _moved(image, down, right, background)
    for degrees in _TURNS:
        for words, sign in (("left", 1), ("right", -1)):
            turned = _turned(floats, sign * degrees, background)
            yield f"turning it {degrees}° {words}", _bytes(turned)
    for share in _LIGHTS:
        for words, factor in (("darker", 1 - share), ("lighter", 1 + share)):
            yield f"making it {100 * share:.0f} % {words}", _bytes(floats * factor)


def _moved(image: Pixels, down: int, right: int, background: int) -> Pixels:
    margin = max(abs(down), abs(right))
    around = ((0, 0), (margin, margin), (margin, margin))
    padded = np.pad(image, around, constant_values=background)
    top, left = margin - down, margin - right
    return padded[:, top : top + image.shape[1], left : left + image.shape[2]]


def _turned(floats: Tensor, degrees: float, background: int) -> Tensor:
    """Counterclockwise about the middle, for positive degrees."""
    height, width = floats.shape[2:]
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    # In the coordinates of affine_grid both sides reach from -1 to 1, whatever their lengths.
    matrix = [[cosine, -sine * height / width, 0.0], [sine * width / height, cosine, 0.0]]
    grid = F.affine_grid(torch.tensor([matrix]), list(floats.shape), align_corners=False)
    return F.grid_sample(floats - background, grid, align_corners=False) + background


def _bytes(floats: Tensor) -> Pixels:
    result: Pixels = floats.round().clamp(0, 255).to(torch.uint8).numpy()[0]
    return result


FindFlip = Callable[[Subject, Pixels, int | None], Flip | None]
FLIPS: tuple[FindFlip, ...] = (least_cover, least_change)
