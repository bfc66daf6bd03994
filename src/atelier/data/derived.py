"""Data sets made of others: ``SOURCE:DOMAIN`` and ``SOURCE:CLASSES``.

``fashion-mnist:inverted`` has the images of a domain. ``fashion-mnist:shared`` and
``PHOTOS:shared`` have the classes that Fashion-MNIST and photos of clothes share, and
``SOURCE:MAP.json`` those of a map of one's own; photos behind a map come as Fashion-MNIST's
images do, gray and 28 pixels wide. Views can follow one another: ``fashion-mnist:shared:rotated``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..config import PhotosConfig
from ..errors import DataError, did_you_mean
from ..progress import progress_bar
from .cache import cache_dir, open_arrays, save_arrays
from .datasets import Dataset, ImageSplit, load_dataset, readable

SHARED = "shared"
SHARED_CLASSES = {
    # Of Fashion-MNIST. Photos do not tell its three kinds of shoes apart, and bags are left out.
    "T-shirt/top": "T-shirt/top",
    "Trouser": "Trouser",
    "Pullover": "Pullover",
    "Dress": "Dress",
    "Coat": "Coat",
    "Shirt": "Shirt",
    "Sandal": "Shoe",
    "Sneaker": "Shoe",
    "Ankle boot": "Shoe",
    # Of folders of photos.
    "T-shirt": "T-shirt/top",
    "Top": "T-shirt/top",
    "Undershirt": "T-shirt/top",
    "Pants": "Trouser",
    "Trousers": "Trouser",
    "Longsleeve": "Pullover",
    "Sweater": "Pullover",
    "Hoodie": "Pullover",
    "Outwear": "Coat",
    "Outerwear": "Coat",
    "Jacket": "Coat",
    "Blouse": "Shirt",
    "Shoes": "Shoe",
    "Shoe": "Shoe",
}
"""From class names, in any case, to the classes that Fashion-MNIST and photos share."""
_SIDE = 28
_LIGHT = 127
_SHOW_FROM = 10_000  # images; fewer take no two seconds


def parted(spec: str | Path) -> tuple[str, str] | None:
    """(SOURCE, VIEW) of ``SOURCE:VIEW``; None of anything else, as of what exists by this name."""
    text = str(spec)
    source, colon, view = text.rpartition(":")
    if not (colon and source and view):
        return None
    if ("/" in view or "\\" in view) and not view.endswith(".json"):
        return None  # a path with a colon in it
    path = Path(text).expanduser()
    with readable(path):
        return None if path.exists() else (source, view)


def source_of(spec: str | Path) -> str:
    """The data set that all views of `spec` are views of; of a plain one, itself."""
    found = parted(spec)
    return str(spec) if found is None else source_of(found[0])


def open_derived(
    source: str, view: str, photos: PhotosConfig | None = None, *, progress: bool = False
) -> Dataset:
    """Load ``SOURCE:VIEW``.

    Args:
        source: a data set, as of `load_dataset`.
        view: a domain, ``shared``, or a JSON file of a map of classes.
        photos: how photos are read; behind a map of classes gray, at 28 pixels.
        progress: show bars on standard error.

    Raises:
        DataError: no such data set or view, or a map that does not fit.
        StorageError: the cache cannot be written.
    """
    from .domains import DOMAINS

    if view in DOMAINS:
        return _in_domain(load_dataset(source, photos, progress=progress), view, progress=progress)
    if view == SHARED:
        return _with_classes(source, view, SHARED_CLASSES, photos, progress=progress)
    if view.endswith(".json"):
        return _with_classes(source, view, _read_map(Path(view)), photos, progress=progress)
    known = [*DOMAINS, SHARED]
    raise DataError(
        f"unknown view of {source}",
        got=view,
        allowed=f"{', '.join(known)}, or a .json file that maps class names",
        fix=did_you_mean(view, known),
    )


def _in_domain(dataset: Dataset, name: str, *, progress: bool) -> Dataset:
    """The data set in a domain, from the cache once it was made; ids and labels stay."""
    from .domains import VERSION, to_domain

    folder = cache_dir() / "domains" / f"{name}-v{VERSION}-{dataset.fingerprint[:24]}"
    try:
        return _kept(folder, dataset, name)
    except (DataError, KeyError, ValueError):  # not there yet, or damaged
        pass
    parts = _parts(dataset)
    total, done, images = sum(map(len, parts.values())), 0, {}
    digest = hashlib.sha256(f"{dataset.fingerprint} {name}".encode())
    with progress_bar(name, total, show=progress and total >= _SHOW_FROM) as bar:
        for part, split in parts.items():
            images[part] = to_domain(
                split.images,
                name,
                ids=split.ids,
                # Parts of photos count ids together, and the same photo stays the same.
                part="" if dataset.photos is not None else part,
            )
            digest.update(images[part].data)
            done += len(split)
            bar.update(done)
    save_arrays(folder, images, {"fingerprint": digest.hexdigest()})
    return _kept(folder, dataset, name)


def _kept(folder: Path, dataset: Dataset, name: str) -> Dataset:
    images, facts = open_arrays(folder)
    parts = {part: replace(split, images=images[part]) for part, split in _parts(dataset).items()}
    fingerprint = str(facts["fingerprint"])
    return _with_parts(dataset, parts, name=f"{dataset.name}:{name}", fingerprint=fingerprint)


def _with_classes(
    source: str,
    view: str,
    mapping: Mapping[str, str],
    photos: PhotosConfig | None,
    *,
    progress: bool,
) -> Dataset:
    """The images of the classes that `mapping` names, under their new names."""
    gray = {"image_size": _SIDE, "channels": 1}
    config = (photos or PhotosConfig()).model_copy(update=gray)
    dataset = load_dataset(source, config, progress=progress)
    classes = tuple(dict.fromkeys(mapping.values()))
    known = {old.casefold(): classes.index(new) for old, new in mapping.items()}
    new = np.array([known.get(name.casefold(), -1) for name in dataset.classes])
    if (new < 0).all():
        raise DataError(
            f"the map {view} names none of the classes of {dataset.name}",
            got=", ".join(mapping),
            allowed=", ".join(dataset.classes),
        )
    changed = {}
    for part, split in _parts(dataset).items():
        kept = split.take(new[split.labels] >= 0)
        images = kept.images if dataset.photos is None else _light_on_dark(kept.images)
        changed[part] = ImageSplit(images, new[kept.labels].astype(np.int64), kept.ids)
    told = json.dumps([dataset.fingerprint, list(classes), new.tolist()])
    named = replace(dataset, classes=classes)
    return _with_parts(
        named,
        changed,
        name=f"{dataset.name}:{Path(view).stem}",
        fingerprint=hashlib.sha256(told.encode()).hexdigest(),
    )


def _light_on_dark(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(N, 1, H, W) photos, light and dark swapped where the border is light, as `predict` does."""
    edges = (images[:, 0, 0], images[:, 0, -1], images[:, 0, :, 0], images[:, 0, :, -1])
    light = np.median(np.concatenate(edges, axis=1), axis=1) > _LIGHT
    return np.where(light[:, None, None, None], 255 - images, images)


def _read_map(path: Path) -> dict[str, str]:
    """A map of class names from a JSON file, as ``{"Pants": "Trouser"}``."""
    path = path.expanduser()
    with readable(path):
        text = path.read_bytes()
    try:
        found = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    right = isinstance(found, dict) and all(isinstance(name, str) for name in found.values())
    if not right or len(set(found.values())) < 2:
        raise DataError(
            f"{path} is no map of classes",
            allowed='{"Pants": "Trouser", ...}, with two classes or more on the right',
        )
    return dict(found)


def _parts(dataset: Dataset) -> dict[str, ImageSplit]:
    found = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {part: split for part, split in found.items() if split is not None}


def _with_parts(
    dataset: Dataset, parts: Mapping[str, ImageSplit], *, name: str, fingerprint: str
) -> Dataset:
    return replace(
        dataset,
        name=name,
        fingerprint=fingerprint,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
    )
