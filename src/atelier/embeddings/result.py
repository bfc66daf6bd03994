"""What the maps of a run are: positions, what they are worth, and how they are kept."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..evaluation.tables import ABSENT, percent, text_table
from ..runs import Run, read_json
from ..storage import explained, write_json
from .layouts import NAMES, NEIGHBORS, Method

_FILE = "embeddings.json"
_FORMAT = 1


@dataclass(frozen=True)
class Quality:
    """What an arrangement of images says of their classes.

    Attributes:
        trustworthiness: how few neighbors in it are none in the embedding, at best 1; of the
            embedding itself 1.
        neighbor_accuracy: the share of images whose class most of the 10 nearest others have.
        silhouette: how well classes keep apart, from -1 to 1; None where that is not defined.
    """

    trustworthiness: float
    neighbor_accuracy: float
    silhouette: float | None


@dataclass(frozen=True, eq=False)
class Layout:
    """One map: (N, 2) positions by `method`, and what they are worth."""

    method: Method
    points: npt.NDArray[np.float64]
    quality: Quality

    @property
    def name(self) -> str:
        """As people write it."""
        return NAMES[self.method]


@dataclass(frozen=True, eq=False, repr=False)
class EmbeddingMaps:
    """Maps of N judged images of a run of K classes.

    Attributes:
        run: the run's name.
        images: what the images are called.
        total: how many of them the N were drawn from, the classes in proportion.
        seed: of the draw and of the layouts.
        dimensions: of the embedding.
        classes: K names.
        ids: (N,) the images.
        labels: (N,) true classes.
        predicted: (N,) the likeliest classes.
        confidence: (N,) their probabilities, calibrated where the run has a temperature.
        neighbors: (N, M) places in `ids` of the nearest others in the embedding.
        embedding: what the embedding itself says of the classes.
        layouts: the maps.
        files: where they were written; empty where they were not.
    """

    run: str
    images: str
    total: int
    seed: int
    dimensions: int
    classes: tuple[str, ...]
    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    neighbors: npt.NDArray[np.int64]
    embedding: Quality
    layouts: tuple[Layout, ...]
    files: tuple[str, ...] = ()

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the likeliest class is not the true one."""
        wrong: npt.NDArray[np.bool_] = self.predicted != self.labels
        return wrong

    def __str__(self) -> str:
        rows = [(f"{self.dimensions:,} dimensions", self.embedding)]
        rows += [(layout.name, layout.quality) for layout in self.layouts]
        table = text_table(
            ["arrangement", "trustworthiness", "neighbors' accuracy", "silhouette"],
            [[name, *_words(quality)] for name, quality in rows],
        )
        return (
            f"{self.run}: {len(self.ids):,} of {self.total:,} {self.images}, "
            f"{int(self.wrong.sum()):,} of them wrong (seed {self.seed})\n\n{table}\n\n"
            "Trustworthiness: how few neighbors on the map are none in the embedding, at best 1. "
            f"Neighbors' accuracy: the share of images whose class most of their {NEIGHBORS} "
            "nearest have.\nIn t-SNE and UMAP the sizes of clusters and the distances between "
            "them mean nothing."
        )

    __repr__ = __str__  # in a notebook a wall of numbers helps nobody

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **self._facts(),
            "errors": int(self.wrong.sum()),
            "layouts": [
                {"method": layout.method, **asdict(layout.quality)} for layout in self.layouts
            ],
            "files": list(self.files),
        }

    def save(self, run: Run) -> None:
        """Keep the maps in the folder of their run, whole or not at all."""
        kept = {
            "format_version": _FORMAT,
            "weights": weights_digest(run),
            **self._facts(),
            "classes": list(self.classes),
            "ids": self.ids.tolist(),
            "labels": self.labels.tolist(),
            "predicted": self.predicted.tolist(),
            "confidence": self.confidence.round(6).tolist(),
            "neighbors": self.neighbors.tolist(),
            "layouts": [
                {
                    "method": layout.method,
                    "quality": asdict(layout.quality),
                    "points": layout.points.round(4).tolist(),
                }
                for layout in self.layouts
            ],
            "files": list(self.files),
        }
        write_json(run.path / _FILE, kept)

    def _facts(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "images": self.images,
            "shown": len(self.ids),
            "total": self.total,
            "seed": self.seed,
            "dimensions": self.dimensions,
            "embedding": asdict(self.embedding),
        }


def load_embeddings(run: Run) -> EmbeddingMaps | None:
    """The maps that `embeddings` has left in the run folder; None where it has left none.

    Raises:
        RunError: they are damaged, of another version, or of other weights.
    """
    path = run.path / _FILE
    if not path.is_file():
        return None
    fix = f"Run `atelier embeddings {shlex.quote(str(run.path))}` again"
    try:
        kept = read_json(path)
    except RunError as error:
        raise RunError(error.problem, fix=fix) from error
    if kept.get("format_version") != _FORMAT:
        raise RunError(
            f"{path} is of another version",
            got=kept.get("format_version"),
            allowed=[_FORMAT],
            fix=fix,
        )
    if kept.get("weights") != weights_digest(run):
        raise RunError(f"{path} is of other weights than the run has now", fix=fix)
    try:
        return _maps_of(kept)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RunError(f"{path} is damaged: {error!r}", fix=fix) from error


def weights_digest(run: Run) -> str:
    """SHA-256 (hex) of the run's weights.

    Raises:
        StorageError: they cannot be read.
    """
    path = run.path / "model.safetensors"
    with explained(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _maps_of(kept: dict[str, Any]) -> EmbeddingMaps:
    ids, labels, predicted = (
        np.array(kept[key], np.int64) for key in ("ids", "labels", "predicted")
    )
    n = len(ids)
    layouts = tuple(
        Layout(one["method"], np.array(one["points"], float), Quality(**one["quality"]))
        for one in kept["layouts"]
    )
    classes = tuple(map(str, kept["classes"]))
    maps = EmbeddingMaps(
        run=str(kept["run"]),
        images=str(kept["images"]),
        total=int(kept["total"]),
        seed=int(kept["seed"]),
        dimensions=int(kept["dimensions"]),
        classes=classes,
        ids=ids,
        labels=labels,
        predicted=predicted,
        confidence=np.array(kept["confidence"], float),
        neighbors=np.array(kept["neighbors"], np.int64),
        embedding=Quality(**kept["embedding"]),
        layouts=layouts,
        files=tuple(map(str, kept["files"])),
    )
    shapes = {len(labels), len(predicted), len(maps.confidence), len(maps.neighbors)}
    if shapes != {n} or any(layout.points.shape != (n, 2) for layout in layouts):
        raise ValueError(f"not everything is of {n} images")
    if any(layout.method not in NAMES for layout in layouts):
        raise ValueError("an unknown layout")
    if n and not 0 <= min(labels.min(), predicted.min()) <= max(labels.max(), predicted.max()) < (
        len(classes)
    ):
        raise ValueError("a label that is no class")
    return maps


def _words(quality: Quality) -> list[str]:
    apart = quality.silhouette
    return [
        f"{quality.trustworthiness:.3f}",
        percent(quality.neighbor_accuracy, 1),
        ABSENT if apart is None else f"{apart:.3f}",
    ]
