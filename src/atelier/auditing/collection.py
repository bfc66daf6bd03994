"""All parts of a data set as one, without copying their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset
from ..data.duplicates import perceptual_hashes
from ..progress import progress_bar

_FLAT = 3  # levels between the lightest and the darkest pixel: what compression makes of one color
_BLOCK = 256


class Collection:
    """The N images of a data set in one order: training, validation, test.

    Attributes:
        dataset: where they come from.
        names: of the N images: files, or ``train/12`` where there are none.
        part: (N,) positions in `parts`.
        parts: the parts that the data set has.
        labels: (N,) positions in the class names.
        shape: (N, C, H, W).
    """

    def __init__(self, dataset: Dataset) -> None:
        splits = {
            "train": dataset.train,
            "validation": dataset.validation,
            "test": dataset.test,
        }
        present = {name: split for name, split in splits.items() if split is not None}
        self.dataset = dataset
        self.parts = tuple(present)
        self._images = [split.images for split in present.values()]
        sizes = [len(split) for split in present.values()]
        self._starts = np.cumsum([0, *sizes])
        self.part = np.repeat(np.arange(len(sizes)), sizes)
        self.labels = np.concatenate([split.labels for split in present.values()])
        self.shape = (len(self.labels), *dataset.train.images.shape[1:])
        self._ids = np.concatenate([split.ids for split in present.values()])
        if dataset.photos is None:
            self.names: tuple[str, ...] = tuple(
                f"{self.parts[part]}/{number}"
                for part, number in zip(self.part.tolist(), self._ids.tolist(), strict=True)
            )
        else:
            self.names = tuple(dataset.photos.files[number] for number in self._ids.tolist())

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, where: int | np.integer | slice) -> npt.NDArray[np.uint8]:
        """One image (C, H, W), or the images of a slice without a step, (M, C, H, W)."""
        if not isinstance(where, slice):
            part = self.part[where]
            image: npt.NDArray[np.uint8] = self._images[part][int(where) - self._starts[part]]
            return image
        start, stop, _ = where.indices(len(self))
        pieces = [
            images[max(start - first, 0) : max(stop - first, 0)]
            for images, first in zip(self._images, self._starts, strict=False)
        ]
        return np.concatenate(pieces)

    def hashes(self, *, progress: bool) -> npt.NDArray[np.uint64]:
        """(N,) perceptual hashes: those that came with photos, or new ones."""
        if self.dataset.photos is not None:
            known: npt.NDArray[np.uint64] = self.dataset.photos.hashes[self._ids]
            return known
        hashes = np.empty(len(self), np.uint64)
        with progress_bar("hashes", len(self), show=progress) as bar:
            for start in range(0, len(self), 16 * _BLOCK):
                block = slice(start, start + 16 * _BLOCK)
                hashes[block] = perceptual_hashes(self[block])
                bar.update(min(start + 16 * _BLOCK, len(self)))
        return hashes

    def constant(self) -> npt.NDArray[np.int64]:
        """Positions of the images that show one color."""
        flat = np.empty(len(self), bool)
        for start in range(0, len(self), _BLOCK):
            images = self[start : start + _BLOCK]
            spread = images.max(axis=(2, 3)).astype(np.int64) - images.min(axis=(2, 3))
            flat[start : start + _BLOCK] = spread.max(axis=1) <= _FLAT
        return np.flatnonzero(flat)

    def small(self, source: str, *, progress: bool) -> list[tuple[int, int, int]]:
        """(position, width, height) of the photos that were enlarged more than twice; what is not
        a file has no size of its own."""
        from PIL import Image

        if self.dataset.photos is None:
            return []
        root = Path(source).expanduser()
        root = root if root.is_dir() else root.parent
        found = []
        with progress_bar("sizes", len(self), show=progress) as bar:
            for position, name in enumerate(self.names):
                try:
                    with Image.open(root / name) as image:  # reads the header alone
                        width, height = image.size
                except Exception:  # gone since, or kept by its pixels alone
                    continue
                if 2 * max(width, height) < max(self.shape[2:]):
                    found.append((position, width, height))
                bar.update(position + 1)
        return found
