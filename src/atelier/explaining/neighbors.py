"""The training images that a network holds nearest to an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, validation_of
from ..errors import StorageError
from ..predictor import Predictor
from ..progress import progress_bar
from ..runs import Run, refuse_other_data
from ..storage import atomic_path

_FILE = Path("embeddings") / "train.npy"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A training image near an image.

    Attributes:
        id: its position in the training part's source.
        label: the name of its class.
        distance: 1 - cosine similarity of the embeddings less their mean over the training images,
            0 to 2.
        pixels: (C, H, W) uint8.
    """

    id: int
    label: str
    distance: float
    pixels: npt.NDArray[np.uint8]


def learned_images(run: Run, dataset: Dataset) -> ImageSplit:
    """The images that the run has learned from: the training part less what was held out of it.

    Raises:
        RunError: the run was trained on other data.
    """
    refuse_other_data(run.path, dataset)
    share = run.recipe.train.validation_share
    learned, _ = validation_of(dataset, size=share, seed=run.recipe.split_seed)
    return dataset.train if len(learned) == len(dataset.train) else dataset.train.take(learned)


def training_embeddings(
    run: Run, predictor: Predictor, learned: ImageSplit, *, progress: bool = False
) -> Floats:
    """(N, D) embeddings of the images that the run has learned from, computed once and kept in its
    folder as float16."""
    kept = kept_embeddings(run, len(learned))
    if kept is not None:
        return kept
    with progress_bar("embed", len(learned), show=progress) as bar:
        embeddings = predictor.outputs(
            learned.images,
            on_done=lambda done: bar.update(done, f"{done:,} of {len(learned):,} training images"),
        ).embedding
    try:
        with atomic_path(run.path / _FILE) as temporary, temporary.open("wb") as file:
            np.save(file, embeddings.astype(np.float16))
    except StorageError:
        pass  # a folder that is only read is no reason to explain nothing
    return embeddings


def kept_embeddings(run: Run, count: int) -> Floats | None:
    """What an earlier call has kept of `count` images; None where there is nothing of use."""
    try:
        with (run.path / _FILE).open("rb") as file:
            kept = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if kept.ndim != 2 or len(kept) != count or not np.isfinite(kept).all():
        return None
    result: Floats = kept.astype(np.float32)
    return result


def nearest(
    embeddings: Floats,
    among: Floats,
    learned: ImageSplit,
    classes: tuple[str, ...],
    count: int,
) -> list[tuple[Neighbor, ...]]:
    """For each image its nearest training images, the nearest first.

    Args:
        embeddings: (N, D) of the images.
        among: (M, D) of the training images.
        learned: the M training images.
        classes: class names.
        count: for each image.
    """
    mean = among.mean(axis=0)
    similarity = _unit(embeddings - mean) @ _unit(among - mean).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [
        tuple(
            Neighbor(
                int(learned.ids[k]),
                classes[learned.labels[k]],
                float(np.clip(1 - row[k], 0, 2)),
                np.array(learned.images[k]),
            )
            for k in chosen
        )
        for row, chosen in zip(similarity, order, strict=True)
    ]


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    result: Floats = vectors / np.maximum(lengths, 1e-12)
    return result
