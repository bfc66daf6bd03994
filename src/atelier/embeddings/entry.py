"""`embeddings`: from a run to maps of the images that it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, load_dataset
from ..errors import ConfigError, RunError
from ..evaluation import calibration_of, judged_images
from ..predictions import Predictions
from ..predictor import Predictor
from ..progress import Bar, progress_bar
from ..runs import Run
from ..storage import refuse_existing
from .layouts import (
    FEWEST,
    METHODS,
    NAMES,
    Method,
    lay_out,
    nearest,
    neighbor_accuracy,
    silhouette,
    trustworthiness,
)
from .page import write_page
from .pictures import embedding_pictures
from .result import EmbeddingMaps, Layout, Quality

DEFAULT_IMAGES = 2_000
MOST_IMAGES = 10_000
PAGE = "embedding_map.html"
_SHOWN_NEIGHBORS = 6
# Of the time that all takes for 2,000 images.
_SHARES: dict[Method, float] = {"pca": 1, "tsne": 12, "umap": 25}


def embeddings(
    run: Run | str | Path,
    *,
    method: Literal["pca", "tsne", "umap", "all"] = "all",
    images: int = DEFAULT_IMAGES,
    out: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> EmbeddingMaps:
    """Lay out the embeddings of the images that a run is judged by.

    Written are a picture of each map, one HTML file in which every point shows its image, and
    ``embeddings.json`` in the run folder, which `load_embeddings` reads.

    Args:
        run: a handle or the path of a run folder.
        method: ``pca``, ``tsne``, ``umap``, or ``all`` three.
        images: how many to show at most, the classes in their proportion; from 10 to 10,000.
        out: the folder of pictures and page; None is ``figures`` of the run folder, where they
            replace older ones.
        seed: of the draw of the images and of the layouts.
        overwrite: replace files of these names in `out`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: no such method, or a number of images that is out of range.
        RunError: the run folder cannot be used, was trained on other data, or maps all images to
            the same point.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
        ExtraError: UMAP is not installed.
        StorageError: a file exists in `out`, no space, or no permission.
    """
    methods = _methods(method)
    if not 10 <= images <= MOST_IMAGES:
        raise ConfigError(
            "the number of images is out of range", got=images, allowed=f"10 to {MOST_IMAGES:,}"
        )
    run = run if isinstance(run, Run) else Run(run)
    folder = run.path / "figures" if out is None else Path(out)
    names = [*(f"embedding_map_{one}.png" for one in methods), PAGE]
    for name in names if out is not None else ():
        refuse_existing(folder / name, overwrite=overwrite)
    dataset = load_dataset(run.recipe.data, run.recipe.photos, progress=progress)
    maps, shown = _map(
        run,
        dataset,
        methods,
        images=images,
        seed=seed,
        device=device,
        progress=progress,
        files=tuple(str(folder / name) for name in names),
    )
    for picture in embedding_pictures(maps):
        picture.save(folder)
    files = dataset.photos.files if dataset.photos is not None else None
    write_page(maps, shown, folder / PAGE, files=files)
    maps.save(run)
    return maps


def quick_maps(
    run: Run,
    dataset: Dataset,
    *,
    method: Method = "pca",
    images: int = DEFAULT_IMAGES,
    seed: int = 0,
    device: str = "auto",
) -> EmbeddingMaps:
    """One map for a report that has its data set at hand. Nothing is written.

    Raises:
        RunError: the run was trained on other data, or maps all images to the same point.
        DeviceError: this machine has no such device.
    """
    return _map(run, dataset, (method,), images=images, seed=seed, device=device, progress=False)[0]


def _methods(method: str) -> tuple[Method, ...]:
    if method == "all":
        return METHODS
    if method not in get_args(Method):
        raise ConfigError("unknown layout", got=method, allowed=[*METHODS, "all"])
    return (method,)  # type: ignore[return-value]  # it is one of them


def _map(
    run: Run,
    dataset: Dataset,
    methods: Sequence[Method],
    *,
    images: int,
    seed: int,
    device: str,
    progress: bool,
    files: tuple[str, ...] = (),
) -> tuple[EmbeddingMaps, ImageSplit]:
    part = run.judged
    judged = judged_images(run, dataset, part)
    if len(judged) < FEWEST:
        raise RunError(
            f"there are too few {part} images for a map", got=len(judged), allowed=f"from {FEWEST}"
        )
    shown = judged.take(sample(judged.labels, images, seed=seed))
    forward = 4.0
    with progress_bar(
        "embeddings", forward + sum(_SHARES[one] for one in methods), show=progress
    ) as bar:
        outputs = Predictor.of_run(run, device=device).outputs(
            shown.images, on_done=lambda done: bar.update(forward * done / len(shown), "network")
        )
        vectors = outputs.embedding
        _refuse_collapsed(vectors, run)
        predictions = Predictions(shown.ids, shown.labels, outputs.logits, run.classes)
        calibration = calibration_of(run)
        if calibration is not None:
            predictions = calibration.apply(predictions)
        layouts = _layouts(vectors, shown.labels, methods, seed, bar, forward)
    own = Quality(
        1.0, neighbor_accuracy(vectors, shown.labels), silhouette(vectors, shown.labels, seed=seed)
    )
    return (
        EmbeddingMaps(
            run=run.name,
            images=f"{part} images",
            total=len(judged),
            seed=seed,
            dimensions=vectors.shape[1],
            classes=run.classes,
            ids=shown.ids,
            labels=shown.labels,
            predicted=predictions.predicted,
            confidence=predictions.probs.max(axis=1),
            neighbors=nearest(vectors, min(_SHOWN_NEIGHBORS, len(shown) - 1)),
            embedding=own,
            layouts=layouts,
            files=files,
        ),
        shown,
    )


def _layouts(
    vectors: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    methods: Sequence[Method],
    seed: int,
    bar: Bar,
    done: float,
) -> tuple[Layout, ...]:
    layouts = []
    for method in methods:
        bar.update(done, NAMES[method])
        points = lay_out(vectors, method, seed=seed)
        quality = Quality(
            trustworthiness(vectors, points, seed=seed),
            neighbor_accuracy(points, labels),
            silhouette(points, labels, seed=seed),
        )
        layouts.append(Layout(method, points, quality))
        done += _SHARES[method]
        bar.update(done, NAMES[method])
    return tuple(layouts)


def sample(labels: npt.NDArray[np.int64], images: int, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """Sorted positions of at most about `images` images: of each class its share, at least one.

    Args:
        labels: (N,) the classes.
        images: how many to draw; N or more are all.
        seed: of the draw.
    """
    if images >= len(labels):
        return np.arange(len(labels))
    rng = np.random.default_rng(seed)
    chosen = []
    for k in np.unique(labels):
        own = np.flatnonzero(labels == k)
        number = max(1, round(images * len(own) / len(labels)))
        chosen.append(rng.choice(own, number, replace=False))
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _refuse_collapsed(vectors: npt.NDArray[np.float32], run: Run) -> None:
    if not np.isfinite(vectors).all():
        raise RunError(
            f"{run.path} gives embeddings that are not finite: the training has diverged",
            fix="Train again with a lower learning rate, such as --set train.lr=0.0003",
        )
    if np.ptp(vectors, axis=0).max() == 0:
        raise RunError(
            f"{run.path} maps all images to the same point: it has learned nothing to draw",
            fix="Train again with a lower learning rate, such as --set train.lr=0.0003",
        )
