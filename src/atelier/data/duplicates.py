"""Copies of one picture among many: perceptual hashes find candidates, pixels decide.

A hash has a bit for the sign of each of the 64 lowest frequencies of the discrete cosine transform
(the idea of pHash: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash
Functions"). It survives another compression, another size and another brightness. Mirroring only
turns the sign of the odd horizontal frequencies, so one hash finds mirrored copies too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..progress import progress_bar

_Hashes = npt.NDArray[np.uint64]
_Positions = npt.NDArray[np.int64]

_SIDE = 32  # pixels of the gray picture that is hashed
_BITS = 64
_FLAT = 0.05  # a frequency below this is rounding, not picture
_FREQUENCIES = sorted((u * u + v * v, u, v) for u in range(12) for v in range(12))[1 : _BITS + 1]
_MIRROR = np.uint64(sum(1 << bit for bit, (_, _, v) in enumerate(_FREQUENCIES) if v % 2))

_MOST_BITS = 10  # apart; copies that are compressed to JPEG quality 30 were at most 8 apart
_MOST_PARTNERS = 32  # of one image: what bounds time and memory if all images are alike
_ROWS, _COLUMNS = 16, 4096  # a tile of distances that stays in the processor's cache

# The limits below lie in the gap between copies and look-alikes that was seen on photos of clothes
# and on Fashion-MNIST: the details of copies (JPEG quality 30) correlated to 0.93 and more in 99 of
# 100, those of other photos to 0.78 at most. Things of one outline, as trousers on black, are told
# apart by what is left after one is lightened like the other; things with and without a print by
# where most is left, averaged over cells, for there the noise of compression is gone.
_THUMBNAIL = 24
_LEAST_DETAIL = 0.85
_MOST_LEFT = 5.0
_MOST_CONTRAST = 1.5
_CELLS = 6
_MOST_IN_CELL = 18.0
_SAME = 1.0
_PICTURE = (-2, -1)  # axes


class ImageArray(Protocol):
    """What is read of N images: an array (N, C, H, W) uint8, or what can be sliced like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any, /) -> npt.NDArray[np.uint8]:
        """One image, or those of a slice."""


@dataclass(frozen=True)
class Pairs:
    """P pairs of images that show one picture. Arrays of P, sorted by first, then by second.

    Attributes:
        first: positions; less than `second`.
        second: positions.
        exact: whether the pixels are the same, as they stand or mirrored.
        mirrored: whether one is the mirror image of the other.
        distance: bits in which the hashes differ, 0 to 10.
    """

    first: _Positions
    second: _Positions
    exact: npt.NDArray[np.bool_]
    mirrored: npt.NDArray[np.bool_]
    distance: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)


def perceptual_hashes(images: ImageArray) -> _Hashes:
    """A hash of 64 bits for each image; hashes of one picture differ in few bits.

    Args:
        images: (N, C, H, W) uint8, N may be 0; the memory used does not grow with N.

    Returns:
        (N,) uint64.
    """
    from scipy.fft import dctn

    _, rows, columns = (list(part) for part in zip(*_FREQUENCIES, strict=True))
    weights = np.uint64(1) << np.arange(_BITS, dtype=np.uint64)
    hashes = np.empty(len(images), np.uint64)
    for where in _blocks(images):
        gray = _shrink(_gray(images[where]), _SIDE)
        gray -= gray.mean(axis=_PICTURE, keepdims=True)
        spectrum = dctn(gray, axes=(1, 2), norm="ortho")[:, rows, columns]
        hashes[where] = (spectrum > _FLAT) @ weights
    return hashes


def near_duplicates(images: ImageArray, hashes: _Hashes) -> list[tuple[int, int]]:
    """Pairs of positions i < j whose images show one picture; see `find_pairs`."""
    pairs = find_pairs(images, hashes)
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def find_pairs(images: ImageArray, hashes: _Hashes, *, progress: bool = False) -> Pairs:
    """Pairs of images that are copies: the same, compressed, scaled, lightened or mirrored.

    Two products of one kind on white are no copies: beside the hash, details, contrast and colors
    of small pictures must agree. Every two hashes are compared, 10^10 in some ten seconds, without
    a table of all pairs; each image is paired with at most 32 of those after it, the nearest.

    Args:
        images: (N, C, H, W) uint8.
        hashes: (N,) uint64, from `perceptual_hashes`.
        progress: show a bar.
    """
    thumbnails = _Thumbnails(images)
    found: list[tuple[npt.NDArray[Any], ...]] = []
    with progress_bar("duplicates", len(hashes), show=progress) as bar:
        for first, second, distance, mirrored in candidates(hashes):
            for start in range(0, len(first), 4096):
                block = slice(start, start + 4096)
                i, j, flip = first[block], second[block], mirrored[block]
                good = thumbnails.agree(i, j, flip)
                i, j, flip = i[good], j[good], flip[good]
                found.append((i, j, _same(images, i, j, flip), flip, distance[block][good]))
            bar.update(int(first[-1]))
        bar.update(len(hashes))
    none = np.empty(0, np.int64)
    found.append((none, none, none.astype(bool), none.astype(bool), none))
    i, j, exact, flip, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    # A symmetric picture is found as it stands and mirrored: once is enough.
    order = np.lexsort((flip, j, i))
    again = (np.diff(i[order], prepend=-1) == 0) & (np.diff(j[order], prepend=-1) == 0)
    kept = order[~again]
    return Pairs(i[kept], j[kept], exact[kept], flip[kept], distance[kept])


def groups_of(count: int, pairs: Iterable[tuple[int, int]]) -> _Positions:
    """Put what the pairs connect into one group.

    Args:
        count: the number of images.
        pairs: positions below `count`.

    Returns:
        (count,) int64: of each image the smallest position in its group.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(list(pairs), np.int64).reshape(-1, 2)
    if count == 0:
        return np.empty(0, np.int64)
    graph = coo_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), (count, count))
    _, component = connected_components(graph, directed=False)
    _, smallest, inverse = np.unique(component, return_index=True, return_inverse=True)
    groups: _Positions = smallest[inverse].astype(np.int64)
    return groups


def candidates(
    hashes: _Hashes,
) -> Iterator[tuple[_Positions, _Positions, _Positions, npt.NDArray[np.bool_]]]:
    """Blocks of (first, second, distance, mirrored): pairs of hashes that are at most 10 bits
    apart, for each image the 32 nearest of those after it."""
    for start in range(0, len(hashes) - 1, _ROWS):
        rows = hashes[start : start + _ROWS, None]
        parts = []
        for left in range(start, len(hashes), _COLUMNS):
            differing = rows ^ hashes[None, left : left + _COLUMNS]
            for mirrored in (False, True):
                apart = np.bitwise_count(differing ^ _MIRROR if mirrored else differing)
                i, j = _near(apart)
                if len(i):
                    flips = np.full(len(i), mirrored)
                    parts.append((i + start, j + left, apart[i, j].astype(np.int64), flips))
        if not parts:
            continue
        first, second, distance, flips = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = np.lexsort((second, distance, first))
        order = order[second[order] > first[order]]
        rank = np.arange(len(order)) - np.searchsorted(first[order], first[order])
        order = order[rank < _MOST_PARTNERS]
        if len(order):
            yield first[order], second[order], distance[order], flips[order]


def _near(apart: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.intp], ...]:
    """Rows and columns of a tile where the distance is small; in a crowd the nearest of a row."""
    near = apart <= _MOST_BITS
    count = np.count_nonzero(near)
    if count == 0:  # nearly every tile
        return np.empty(0, np.intp), np.empty(0, np.intp)
    if count > len(apart) * 4 * _MOST_PARTNERS:
        # Twice as many and one: the pairs of the lower triangle are thrown away afterwards.
        most = min(apart.shape[1], _ROWS + 2 * _MOST_PARTNERS)
        nearest = np.argpartition(apart, most - 1, axis=1)[:, :most]
        chosen = np.zeros_like(near)
        np.put_along_axis(chosen, nearest, True, axis=1)
        near &= chosen
    places = np.flatnonzero(near)  # four times as fast as `nonzero` of two dimensions
    return places // near.shape[1], places % near.shape[1]


class _Thumbnails:
    """Small pictures of all images: 576 bytes of gray and 36 for each channel."""

    def __init__(self, images: ImageArray) -> None:
        side = min(_THUMBNAIL, *images.shape[2:])
        self._gray = np.empty((len(images), side, side), np.uint8)
        self._cells = np.empty((len(images), images.shape[1], _CELLS, _CELLS), np.uint8)
        for where in _blocks(images):
            self._gray[where] = _shrink(_gray(images[where]), side).round()
            self._cells[where] = _shrink(images[where], _CELLS).round()

    def agree(
        self, i: _Positions, j: _Positions, mirrored: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Whether the images at i and j show the same picture, turned round where `mirrored`."""
        agreed = self._same_light(i, j, mirrored)
        left = np.flatnonzero(agreed)  # few: what costs more comes after
        i, j, mirrored = i[left], j[left], mirrored[left]
        one, two = self._pair(self._gray, i, j, mirrored)
        same = np.square(one - two).mean(axis=_PICTURE) <= _SAME**2
        alike = _correlation(_detail(one), _detail(two)) >= _LEAST_DETAIL
        one, two = one[:, None], two[:, None]  # (P, 1, H, W), beside colors
        gain = (two.std(axis=_PICTURE, keepdims=True) + 1) / (
            one.std(axis=_PICTURE, keepdims=True) + 1
        )
        shift = two.mean(axis=_PICTURE, keepdims=True) - gain * one.mean(
            axis=_PICTURE, keepdims=True
        )
        one, two = self._pair(self._cells, i, j, mirrored)
        most = np.abs(two - (gain * one + shift)).max(axis=(1, 2, 3), initial=0)
        agreed[left] = (same | alike) & (most <= _MOST_IN_CELL * np.sqrt(gain[:, 0, 0, 0]))
        return agreed

    def _same_light(
        self, i: _Positions, j: _Positions, mirrored: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Whether one is the other after a change of brightness and contrast, about."""
        one, two = self._pair(self._gray, i, j, mirrored)
        spread_one, spread_two = one.std(axis=_PICTURE) + 1, two.std(axis=_PICTURE) + 1
        contrast = np.maximum(spread_one / spread_two, spread_two / spread_one)
        unexplained = np.clip(1 - _correlation(one, two) ** 2, 0, None)
        left = np.sqrt(spread_one * spread_two * unexplained)
        same: npt.NDArray[np.bool_] = (left <= _MOST_LEFT) & (contrast <= _MOST_CONTRAST)
        return same

    @staticmethod
    def _pair(
        pictures: npt.NDArray[np.uint8],
        i: _Positions,
        j: _Positions,
        mirrored: npt.NDArray[np.bool_],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        two = pictures[j]
        two[mirrored] = two[mirrored][..., ::-1]
        return pictures[i].astype(np.float32), two.astype(np.float32)


def _same(
    images: ImageArray, i: _Positions, j: _Positions, mirrored: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Whether the pixels agree to the last bit."""
    same = np.empty(len(i), bool)
    for k, (one, two, flip) in enumerate(zip(i, j, mirrored, strict=True)):
        other = images[two][..., ::-1] if flip else images[two]
        same[k] = np.array_equal(images[one], other)
    return same


def _detail(gray: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The Laplacian of (P, H, W): what two shirts on white do not share, unlike their outline."""
    detail: npt.NDArray[np.float32] = 4 * gray[:, 1:-1, 1:-1]
    detail -= gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:]
    return detail


def _correlation(
    one: npt.NDArray[np.float32], two: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    one, two = (part - part.mean(axis=_PICTURE, keepdims=True) for part in (one, two))
    both, first, second = (
        np.einsum("nhw,nhw->n", a, b) for a, b in ((one, two), (one, one), (two, two))
    )
    correlation: npt.NDArray[np.float32] = both / np.maximum(np.sqrt(first * second), 1e-6)
    return correlation


def _blocks(images: ImageArray) -> Iterator[slice]:
    """Slices of a few million values each."""
    size = max(1, 2**22 // max(1, math.prod(images.shape[1:])))
    for start in range(0, len(images), size):
        yield slice(start, min(start + size, len(images)))


def _gray(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    gray: npt.NDArray[np.float32] = images.mean(axis=1, dtype=np.float32)
    return gray


def _shrink(pictures: npt.NDArray[np.generic], side: int) -> npt.NDArray[np.float32]:
    """Average (..., H, W) over areas, to (..., side, side) float32."""
    height, width = (_areas(length, side) for length in pictures.shape[-2:])
    shrunk: npt.NDArray[np.float32] = height @ pictures.astype(np.float32) @ width.T
    return shrunk


def _areas(length: int, side: int) -> npt.NDArray[np.float32]:
    """(side, length) weights; each row covers length / side pixels and sums to 1."""
    edges = np.arange(side + 1) * length / side
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: npt.NDArray[np.float32] = np.clip(covered, 0, None) * side / length
    return weights.astype(np.float32)
