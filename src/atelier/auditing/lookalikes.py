"""Pairs that a trained network can hardly tell apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ..errors import RunError
from ..predictor import Predictor
from ..progress import progress_bar
from ..runs import Run
from .collection import Collection

_BATCH = 256
_NEIGHBOR = 7  # whose distance is the scale, as in the paper below
_NEAREST = 0.15


class Lookalikes(NamedTuple):
    """P pairs: positions, first < second, and their distance in 0..1, 1 - cosine similarity."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    distance: npt.NDArray[np.float64]


def find_lookalikes(
    collection: Collection, run: Run, *, device: str = "auto", progress: bool = False
) -> Lookalikes:
    """Images that are each other's nearest in a run's embedding, and nearer than is usual there.

    Embeddings are what the head of the network sees, less their mean, compared by cosine. Some
    kinds of images lie closer than others, so the distance of a pair is judged by the distances of
    both to their seventh neighbors: at most 0.15 of their geometric mean (local scaling:
    Zelnik-Manor & Perona 2004, "Self-Tuning Spectral Clustering").

    Raises:
        RunError: the run's network takes images of another shape.
        DeviceError: this machine has no such device.
    """
    shape = tuple(collection.shape[1:])
    if tuple(run.card.image_shape) != shape:
        raise RunError(
            f"{run.path} takes images of another shape than the data has",
            got=" x ".join(map(str, shape)),
            allowed=" x ".join(map(str, run.card.image_shape)),
            fix="Audit the data that the run was trained on, or leave --run out",
        )
    embedded = _embeddings(collection, Predictor.of_run(run, device=device), progress=progress)
    count = len(embedded)
    if count < _NEIGHBOR + 1:
        none = np.empty(0, np.int64)
        return Lookalikes(none, none, np.empty(0))
    nearest, distance, scale = _neighbors(embedded, progress=progress)
    first = np.arange(count)
    chosen = (nearest[nearest] == first) & (first < nearest)
    chosen &= distance <= _NEAREST * np.sqrt(scale * scale[nearest])
    return Lookalikes(first[chosen], nearest[chosen], distance[chosen])


def _embeddings(collection: Collection, predictor: Predictor, *, progress: bool) -> torch.Tensor:
    """(N, D) embeddings of length 1, around the mean."""
    with progress_bar("embeddings", len(collection), show=progress) as bar:
        outputs = predictor.outputs(collection, on_done=bar.update)
    embedded = torch.from_numpy(outputs.embedding).to(predictor.device)
    embedded -= embedded.mean(dim=0)
    return torch.nn.functional.normalize(embedded, dim=1)


@torch.inference_mode()
def _neighbors(
    embedded: torch.Tensor, *, progress: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each image the nearest other, its distance, and the distance of the seventh."""
    count = len(embedded)
    nearest = np.empty(count, np.int64)
    distance, scale = np.empty(count), np.empty(count)
    with progress_bar("look-alikes", count, show=progress) as bar:
        for start in range(0, count, _BATCH):
            block = slice(start, min(start + _BATCH, count))
            similar = embedded[block] @ embedded.T
            rows = torch.arange(block.stop - start, device=similar.device)
            similar[rows, rows + start] = -torch.inf
            values, places = similar.topk(_NEIGHBOR, dim=1)
            nearest[block] = places[:, 0].cpu().numpy()
            distance[block] = (1 - values[:, 0]).clamp(min=0).cpu().numpy()
            scale[block] = (1 - values[:, -1]).clamp(min=0).cpu().numpy()
            bar.update(block.stop)
    return nearest, distance, scale
