"""Corrections of labels: a CSV file that names a data set and says what to change in it.

`atelier audit --labels` writes such a file, a person fills in its column ``action``, and then the
file itself is given where a data set is asked for. What it names is read as ever, and changed on
the way: no file of the data set is touched, and the fingerprint is another one.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..config import PhotosConfig
from ..errors import DataError, did_you_mean
from .datasets import FASHION_MNIST, SAMPLE, Dataset, ImageSplit, load_dataset, readable
from .photo_files import PhotoSource, ordered_source
from .photo_tables import Refusal, read_csv
from .photos import has_photos, open_photos

COLUMNS = ("data", "image", "given", "suggested", "action")
KEEP, RELABEL, DROP = "keep", "relabel", "drop"
_ALLOWED = f"{KEEP} or nothing, {RELABEL}, {DROP}, or the name of the right class"


@dataclass(frozen=True)
class Correction:
    """What is to be done with one image.

    Attributes:
        position: of its row in the file.
        given: the label that it has.
        action: ``keep``, ``relabel`` (to the class that is suggested), ``drop`` or a class.
        suggested: the class that is suggested.
    """

    position: int
    given: str
    action: str
    suggested: str

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return self.action.casefold() not in ("", KEEP)

    @property
    def drops(self) -> bool:
        """Whether the image is to be left out."""
        return self.action.casefold() == DROP

    @property
    def label(self) -> str:
        """The class that is asked for."""
        return self.suggested if self.action.casefold() == RELABEL else self.action


@dataclass(frozen=True)
class Corrections:
    """A file of corrections.

    Attributes:
        path: of the file.
        data: the data set that it is for.
        by_image: the corrections by the image's name.
        sha256: of the file, in hex.
        refuse: makes errors that name its rows.
    """

    path: Path
    data: str
    by_image: dict[str, Correction]
    sha256: str
    refuse: Refusal


@dataclass(frozen=True)
class Corrected:
    """What a file of corrections has changed.

    Attributes:
        file: its path.
        sha256: of the file, in hex.
        relabeled, dropped: how many images.
    """

    file: str
    sha256: str
    relabeled: int
    dropped: int

    def __str__(self) -> str:
        return f"{self.relabeled:,} labels corrected and {self.dropped:,} images left out by " + (
            self.file
        )


def is_corrections(spec: str | Path) -> bool:
    """Whether a data set is a file of corrections: a .csv file with all of `COLUMNS`.

    Raises:
        DataError: the file cannot be read.
    """
    path = Path(spec).expanduser()
    if path.suffix.lower() != ".csv":
        return False
    with readable(path):
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(10_000)
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = head.decode("utf-16" if wide else "utf-8-sig", "replace")
    words = next((line for line in text.splitlines() if line.strip()), "")
    found = {word.strip('" ') for mark in ",;\t|" for word in words.split(mark)}
    return found.issuperset(COLUMNS)


def corrected_source(spec: str | Path) -> str:
    """The data set behind a file of corrections; any other data set comes back as it is.

    Raises:
        DataError: the file cannot be read.
    """
    return _chain(Path(spec).expanduser())[-1].data if is_corrections(spec) else str(spec)


def read_corrections(path: Path) -> Corrections:
    """Read a file of corrections, whatever its delimiter.

    Raises:
        DataError: it cannot be read, is of no or of several data sets, or says different things of
            one image.
    """
    table, numbers = read_csv(path)
    refuse = Refusal(path, numbers)
    named = {name: place for place, name in reversed(list(enumerate(table["data"])))}
    if len(named) != 1 or "" in named:
        raise DataError(
            f"{path} must name one data set in its column 'data'",
            got=", ".join(map(repr, named)) or "no rows",
            fix="Keep one file for each data set",
        )
    rows = [
        Correction(position, given.strip(), action.strip(), suggested.strip())
        for position, (given, action, suggested) in enumerate(
            zip(table["given"], table["action"], table["suggested"], strict=True)
        )
    ]
    places: defaultdict[str, list[int]] = defaultdict(list)
    for position, image in enumerate(table["image"]):
        places[_nfc(image)].append(position)
    for image, positions in places.items():
        if len({(rows[at].given, rows[at].action) for at in positions}) > 1:
            refuse.at(f"different things to say of {image!r}", positions)
    with readable(path):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    by_image = {image: rows[positions[0]] for image, positions in places.items()}
    return Corrections(path, next(iter(named)), by_image, digest, refuse)


def open_corrected(
    spec: str | Path, photos: PhotosConfig | None = None, *, progress: bool = False
) -> Dataset:
    """The data set that a file of corrections names, corrected.

    Photos are corrected before they are split, as if their files had been moved or removed. Labels
    of a test part are what models are judged by: to correct them is refused.

    Raises:
        DataError: the data set is missing, or a row names an unknown image or class, is of another
            label than the data set has, or would correct a test image; the error names the rows.
    """
    chain = _chain(Path(spec).expanduser())
    source = chain[-1].data
    corrected: list[Corrected] = []
    if has_photos(source):

        def correct(listed: PhotoSource) -> PhotoSource:
            for file in reversed(chain):
                listed, facts = _corrected_source(listed, file)
                corrected.append(facts)
            return listed

        dataset = open_photos(source, photos, correct=correct, progress=progress)
    else:
        dataset = load_dataset(source, photos, progress=progress)
        for file in reversed(chain):
            dataset, facts = _corrected_arrays(dataset, file)
            corrected.append(facts)
    changed = ", ".join(file.path.name for file in reversed(chain))
    return replace(
        dataset, name=f"{dataset.name} corrected by {changed}", corrected=tuple(corrected)
    )


def _chain(path: Path) -> list[Corrections]:
    """The file, and those that the data sets are which it and the others name."""
    chain: list[Corrections] = []
    while True:
        file = read_corrections(path)
        if any(path.samefile(known.path) for known in chain):
            raise DataError(f"{path} corrects itself", fix="Name a data set in its column 'data'")
        data = file.data
        # A path is meant from here, or from where the file lies.
        beside = path.parent / data
        if data not in (FASHION_MNIST, SAMPLE) and not Path(data).expanduser().exists():
            data = str(beside) if beside.exists() else data
        chain.append(replace(file, data=data))
        if not is_corrections(data):
            return chain
        path = Path(data).expanduser()


def _corrected_arrays(dataset: Dataset, file: Corrections) -> tuple[Dataset, Corrected]:
    parts: dict[str, ImageSplit] = {"train": dataset.train}
    if dataset.validation is not None:
        parts["validation"] = dataset.validation
    if dataset.test is not None:
        parts["test"] = dataset.test
    places = {
        f"{part}/{number}": (part, at)
        for part, split in parts.items()
        for at, number in enumerate(split.ids.tolist())
    }
    _check(
        file,
        dataset.classes,
        lambda image: places[image][0] if image in places else None,
        lambda image: dataset.classes[parts[places[image][0]].labels[places[image][1]]],
    )
    numbers = {name: number for number, name in enumerate(dataset.classes)}
    labels = {part: split.labels.copy() for part, split in parts.items()}
    kept = {part: np.ones(len(split), bool) for part, split in parts.items()}
    digest = hashlib.sha256(dataset.fingerprint.encode())
    facts = _Counter(file)
    for image, row in sorted(file.by_image.items()):
        if not row.changes:
            continue
        part, at = places[image]
        if row.drops:
            kept[part][at] = False
        else:
            labels[part][at] = numbers[_known(row.label, dataset.classes)]
        digest.update(f"{image} {'' if row.drops else labels[part][at]}\n".encode())
        facts.count(row)
    changed = {
        part: ImageSplit(split.images, labels[part], split.ids)
        if kept[part].all()
        else ImageSplit(split.images[kept[part]], labels[part][kept[part]], split.ids[kept[part]])
        for part, split in parts.items()
    }
    gone = set(dataset.train.labels.tolist()) - set(changed["train"].labels.tolist())
    if gone:
        raise DataError(
            f"{file.path} leaves no training image of {dataset.classes[min(gone)]!r}",
            fix="Keep some of them",
        )
    return (
        replace(
            dataset,
            train=changed["train"],
            validation=changed.get("validation"),
            fingerprint=digest.hexdigest() if facts.changes else dataset.fingerprint,
        ),
        facts.done(),
    )


def _corrected_source(listed: PhotoSource, file: Corrections) -> tuple[PhotoSource, Corrected]:
    by_name = {_nfc(photo.name): photo for photo in listed.photos}
    _check(
        file,
        listed.classes,
        lambda image: by_name[image].part or "train" if image in by_name else None,
        lambda image: by_name[image].label,
    )
    facts, photos = _Counter(file), []
    for photo in listed.photos:
        row = file.by_image.get(_nfc(photo.name))
        if row is None or not row.changes:
            photos.append(photo)
            continue
        facts.count(row)
        if not row.drops:
            photos.append(replace(photo, label=_known(row.label, listed.classes)))
    return ordered_source(listed.root, photos, listed.notes), facts.done()


class _Counter:
    def __init__(self, file: Corrections) -> None:
        self.file, self.relabeled, self.dropped = file, 0, 0

    @property
    def changes(self) -> int:
        return self.relabeled + self.dropped

    def count(self, row: Correction) -> None:
        self.dropped += row.drops
        self.relabeled += not row.drops

    def done(self) -> Corrected:
        return Corrected(str(self.file.path), self.file.sha256, self.relabeled, self.dropped)


def _check(
    file: Corrections,
    classes: tuple[str, ...],
    part_of: Callable[[str], str | None],
    label_of: Callable[[str], str],
) -> None:
    """Refuse what does not fit the data; also in rows that change nothing, for they are a sign that
    the file is of other data."""
    rows = file.by_image
    _refuse(
        file,
        f"an image that {file.data} does not have",
        [row for image, row in rows.items() if part_of(image) is None],
    )
    _refuse(
        file,
        f"another label in the column 'given' than {file.data} has",
        [row for image, row in rows.items() if _nfc(row.given) != _nfc(label_of(image))],
    )
    asked = [(image, row) for image, row in rows.items() if row.changes]
    unknown = [row for _, row in asked if not row.drops and not _is_known(row.label, classes)]
    if unknown:
        _refuse(
            file,
            f"an action or a class that is not known, {unknown[0].label!r},",
            unknown,
            f"{_ALLOWED}. {did_you_mean(unknown[0].label, classes)}",
        )
    _refuse(
        file,
        "a correction of a test image, which models are judged by,",
        [row for image, row in asked if part_of(image) == "test"],
        "actions for training and validation images; keep or nothing for test images",
    )


def _refuse(
    file: Corrections, what: str, rows: list[Correction], allowed: str | None = None
) -> None:
    file.refuse.at(what, [row.position for row in rows], allowed)


def _is_known(label: str, classes: tuple[str, ...]) -> bool:
    return _nfc(label) in map(_nfc, classes)


def _known(label: str, classes: tuple[str, ...]) -> str:
    return next(name for name in classes if _nfc(name) == _nfc(label))


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())
