"""What networks say of images that they have not learned from, for all images of a data set.

The images of the training and the validation part are dealt into folds, and each fold is answered
by a network that was trained on the others (Stone 1974, "Cross-Validatory Choice and Assessment of
Statistical Predictions"). The test images are answered by all of these networks, none of which has
seen them. Images that show the same are in one fold: a copy with the same wrong label would vouch
for it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy.special import softmax
from torch import Tensor

from ..config import Recipe
from ..data import Dataset, ImageSplit
from ..devices import keep_freed_memory, resolve_device
from ..errors import ConfigError, DataError
from ..predictor import Predictor
from ..progress import Bar, progress_bar
from ..storage import atomic_path, explained
from ..training.transient import train_in_memory
from .collection import Collection

NEIGHBORS = 10
_CROWD = 10_000
_VERSION = 1
_BATCH = 256
_TRAINING_SHARE = 0.85  # of the time that a fold takes; the rest is asking and comparing

_Positions = npt.NDArray[np.int64]
_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Answers to the N images of a collection, in its order.

    Attributes:
        probs: (N, K) the mean over the networks that were asked.
        nearest: (N, K) of each class the position of the training image that is nearest in the
            network's embedding, among at most 10,000; -1 where the class had none.
        similarity: (N, K) the cosine similarity to it.
        isolation: (N,) the mean cosine distance to the 10 nearest of these images of any class,
            where 1 is the median of the images that the same network was asked about.
        networks: how many were trained.
        seconds: that it took, and would have taken without what was kept.
    """

    probs: npt.NDArray[np.float64]
    nearest: _Positions
    similarity: _Floats
    isolation: _Floats
    networks: int
    seconds: float


def cross_validate(
    collection: Collection,
    recipe: Recipe,
    *,
    folds: int,
    groups: npt.NDArray[np.int64],
    keep: Path | None = None,
    device: str = "auto",
    progress: bool = True,
) -> OutOfFold:
    """Ask networks about images that they have not learned from.

    Args:
        collection: the images.
        recipe: of the networks; its seed decides the folds too.
        folds: how many, 2 or more.
        groups: (N,) images of one number are in one fold.
        keep: a folder in which each fold's answers are kept, so that a stopped search goes on;
            those of other data or recipes in it are removed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: the network does not fit the images.
        DataError: there are too few images.
        DeviceError: this machine has no such device.
        StorageError: `keep` cannot be written.
    """
    if folds < 2:
        raise ConfigError("cross-validation needs two folds", got=folds, allowed="2 or more")
    torch_device = resolve_device(device)
    keep_freed_memory()
    if recipe.train.keep == "last":  # then nothing is chosen by images held out
        recipe = recipe.changed({"train.validation_share": 0})
    pool, asked_by_all = _pool(collection)
    fold_of = deal(collection.labels[: len(pool)], groups[: len(pool)], folds, recipe.seed)
    key = _key(collection.dataset, recipe, folds, fold_of)
    found = []
    with progress_bar("label check", folds, show=progress) as bar:
        for number in range(folds):
            path = None if keep is None else keep / f"{key}-{number}.npz"
            answers = _kept(path)
            if answers is None:
                held_out = np.flatnonzero(fold_of == number)
                learned = np.flatnonzero(fold_of != number)
                asked = np.concatenate([held_out, np.arange(len(pool), len(collection))])
                answers = _fold(
                    collection,
                    ImageSplit(pool.images[learned], pool.labels[learned], pool.ids[learned]),
                    learned,
                    asked,
                    recipe.model_copy(update={"seed": recipe.seed + number}),
                    torch_device,
                    _Part(bar, number, 1, f"network {number + 1} of {folds}"),
                    [pool.images[held_out], asked_by_all],
                )
                if path is not None:
                    _save(path, answers)
            found.append(answers)
            bar.update(number + 1, f"network {number + 1} of {folds}")
    if keep is not None:
        with explained(keep):
            for other in keep.glob("*.npz"):
                if not other.name.startswith(key):
                    other.unlink()
    return _joined(found, len(collection))


def deal(labels: _Positions, groups: _Positions, folds: int, seed: int) -> _Positions:
    """(N,) folds: each class is dealt out evenly, and each group is whole in one fold.

    Args:
        labels: (N,) integer classes; a group counts as an image of its first one's class.
        groups: (N,) images of one number belong together.
        folds: how many.
        seed: of the order.

    Raises:
        DataError: there are fewer groups than folds.
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) < folds:
        raise DataError(
            f"{len(first)} different images cannot be dealt into {folds} folds",
            fix="Add images, or take fewer folds",
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(first))
    order = order[np.argsort(labels[first[order]], kind="stable")]
    fold = np.empty(len(first), np.int64)
    fold[order] = np.arange(len(first)) % folds
    result: _Positions = fold[group]
    return result


def _pool(collection: Collection) -> tuple[ImageSplit, npt.NDArray[np.uint8]]:
    """What is dealt into folds, with the ids of the training part, and the test images."""
    dataset = collection.dataset
    pool = dataset.train
    if dataset.validation is not None:
        more = dataset.validation
        pool = ImageSplit(
            np.concatenate([pool.images, more.images]),
            np.concatenate([pool.labels, more.labels]),
            np.concatenate([pool.ids, more.ids]),
        )
    test = dataset.test
    return pool, pool.images[:0] if test is None else test.images


def _fold(
    collection: Collection,
    learned: ImageSplit,
    learned_at: _Positions,
    asked_at: _Positions,
    recipe: Recipe,
    device: torch.device,
    bar: Bar,
    asked: Sequence[npt.NDArray[np.uint8]],
) -> dict[str, npt.NDArray[np.generic]]:
    """Train on `learned`, and ask about the images of `asked`, which are at `asked_at`."""
    started = time.perf_counter()
    dataset = replace(collection.dataset, train=learned, test=None, validation=None)
    predictor = train_in_memory(recipe, dataset, device, _Part(bar, 0, _TRAINING_SHARE))
    answers = [predictor.outputs(images) for images in asked if len(images)]
    logits = np.concatenate([answer.logits for answer in answers])
    # Each class has its share of those that are compared with.
    order = np.argsort(learned.labels, kind="stable")
    crowd = np.sort(order[:: -(-len(order) // _CROWD)])
    known = predictor.outputs(learned.images[crowd]).embedding
    center = torch.from_numpy(known.mean(axis=0))
    embedded = [_directions(answer.embedding, center, predictor) for answer in answers]
    nearest, similarity, distance = _neighbors(
        torch.cat(embedded),
        _directions(known, center, predictor),
        torch.from_numpy(learned.labels[crowd]).to(predictor.device),
        len(dataset.classes),
    )
    held_out = len(asked[0])
    usual = max(float(np.median(distance[:held_out])), 1e-12)
    return {
        "asked": asked_at,
        "probs": softmax(logits.astype(np.float64), axis=1).astype(np.float32),
        "nearest": np.where(nearest < 0, -1, learned_at[crowd[nearest]]),
        "similarity": similarity,
        "isolation": (distance / usual).astype(np.float32),
        "seconds": np.array(time.perf_counter() - started),
    }


def _directions(embedding: _Floats, center: Tensor, predictor: Predictor) -> Tensor:
    return F.normalize(torch.from_numpy(embedding) - center, dim=1).to(predictor.device)


@torch.inference_mode()
def _neighbors(
    asked: Tensor, known: Tensor, labels: Tensor, num_classes: int
) -> tuple[_Positions, _Floats, _Floats]:
    """Of each asked image the nearest known one of each class, how similar it is, and the mean
    distance of the nearest ten."""
    order = torch.argsort(labels, stable=True)
    known, counts = known[order], torch.bincount(labels, minlength=num_classes).tolist()
    nearest = torch.full((len(asked), num_classes), -1, dtype=torch.int64)
    similarity = torch.full((len(asked), num_classes), -1.0)
    distance = torch.empty(len(asked))
    few = min(NEIGHBORS, len(known))
    for start in range(0, len(asked), _BATCH):
        rows = slice(start, start + _BATCH)
        similar = asked[rows] @ known.T
        top = similar.topk(few, dim=1).values
        distance[rows] = (1 - top.mean(dim=1)).clamp(min=0).cpu()
        begin = 0
        for number, count in enumerate(counts):
            if count:
                best, at = similar[:, begin : begin + count].max(dim=1)
                similarity[rows, number] = best.cpu()
                nearest[rows, number] = order[begin + at].cpu()
            begin += count
    return nearest.numpy(), similarity.numpy(), distance.numpy()


def _joined(found: Sequence[dict[str, npt.NDArray[np.generic]]], count: int) -> OutOfFold:
    num_classes = found[0]["probs"].shape[1]
    probs, times = np.zeros((count, num_classes)), np.zeros(count)
    nearest = np.full((count, num_classes), -1, np.int64)
    similarity = np.full((count, num_classes), -1, np.float32)
    isolation = np.zeros(count, np.float32)
    # Backwards, so that of images that all were asked about the first network's neighbors stay.
    for answers in reversed(found):
        at = answers["asked"]
        probs[at] += answers["probs"]
        times[at] += 1
        nearest[at], similarity[at] = answers["nearest"], answers["similarity"]
        isolation[at] = answers["isolation"]
    probs /= times[:, None]
    probs /= probs.sum(axis=1, keepdims=True)
    seconds = sum(float(answers["seconds"]) for answers in found)
    return OutOfFold(probs, nearest, similarity, isolation, len(found), seconds)


def _key(dataset: Dataset, recipe: Recipe, folds: int, fold_of: _Positions) -> str:
    """Names what decides the answers."""
    facts = [_VERSION, dataset.fingerprint, folds, recipe.model_dump(mode="json", exclude={"data"})]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(fold_of.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def _kept(path: Path | None) -> dict[str, npt.NDArray[np.generic]] | None:
    try:
        if path is not None and path.is_file():
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError):  # damaged: asked again
        pass
    return None


def _save(path: Path, answers: dict[str, npt.NDArray[np.generic]]) -> None:
    with atomic_path(path) as temporary:
        np.savez(temporary, allow_pickle=False, **answers)


class _Part:
    """A bar's stretch: from `begin`, a task's 0 to 1 in `width`."""

    def __init__(self, bar: Bar, begin: float, width: float, title: str = "") -> None:
        self.bar, self.begin, self.width, self.title = bar, begin, width, title

    def update(self, completed: float, note: str = "") -> None:
        words = f"{self.title}  {note}" if self.title else note
        self.bar.update(self.begin + completed * self.width, words)
