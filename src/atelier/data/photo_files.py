"""What photos there are in a folder of class folders, or in any folder."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import DataError, did_you_mean

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
PART_WORDS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp"),
        *("gif", "bmp", "dib", "tif", "tiff"),
    )
)
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
_LITTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))
_HEAD_BYTES = 16
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"),
    *(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
)
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Photo:
    """One file with its label, and what a table says of it beside.

    Attributes:
        path: of the file.
        name: its path relative to the source, with ``/``, as people see it.
        label: the class.
        part: train, validation or test; None where the source has no parts.
        group: what must stay on one side of a split together; None stands alone.
        weight: what it counts in the loss; None where the source does not say.
    """

    path: str
    name: str
    label: str
    part: Part | None = None
    group: str | None = None
    weight: float | None = None


@dataclass(frozen=True)
class PhotoSource:
    """All photos of a folder or a table, in the order of parts, classes and names.

    Attributes:
        root: the folder or the table.
        photos: at least one of each class in the training part, where there are parts.
        classes: sorted by code point.
        notes: sentences on what was left out.
    """

    root: Path
    photos: list[Photo]
    classes: tuple[str, ...]
    notes: list[str]


def list_photos(folder: str | Path) -> list[Path]:
    """The image files in a folder and the folders in it, sorted; hidden files are none.

    A link that leads nowhere is listed too: reading it says so.

    Raises:
        DataError: there is no such folder, it cannot be read, or it has no image files.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", fix="Check the path")
    paths = sorted(entry for entry, is_image in _files(folder) if is_image)
    if not paths:
        raise DataError(f"the folder {folder} has no image files", allowed=_suffixes())
    return [Path(path) for path in paths]


def list_class_folders(folder: Path, *, to_learn: bool = True) -> PhotoSource:
    """The photos of ``FOLDER/CLASS/...`` or ``FOLDER/PART/CLASS/...``.

    Parts are train, validation (val, valid) and test, in any case. Folders within a class folder
    belong to the class. Links are followed. Files without an image's suffix are taken if they
    begin as an image does. Names are compared in Unicode's form NFC.

    Args:
        folder: of the class folders, or of parts.
        to_learn: whether a model is to be trained on them; else one class is enough, in any part.

    Raises:
        DataError: there are no class folders or they stand beside parts, two names differ only by
            case or outer spaces, a class is not in the training part, there are fewer than two
            classes, or a folder cannot be read.
    """
    entries = _entries(folder)
    folders = [entry for entry in entries if entry.is_dir()]
    if not folders:
        kinds = Counter(Path(entry.name).suffix.lower() or "no suffix" for entry in entries)
        told = ", ".join(f"{count:,} x {kind}" for kind, count in kinds.most_common(4))
        raise DataError(
            f"the folder {folder} has neither class folders nor IDX files",
            got=told or "nothing",
            allowed="a folder for each class with its photos in it, possibly under train, "
            "validation and test; or four IDX files, train-images-idx3-ubyte ...",
        )
    parts = _part_folders(folder, folders)
    notes: list[str] = []
    ignored: list[str] = []
    loose: list[str] = []
    photos: list[Photo] = []
    names: list[tuple[str, str]] = []
    empty: dict[str, str] = {}
    for part in PARTS if parts else (None,):
        if parts and part not in parts:
            continue
        top = parts[part] if part else str(folder)
        for entry in _entries(Path(top)):
            if not entry.is_dir():
                if _is_image(entry.path):
                    loose.append(shown_path(entry.path, folder))
                continue
            label = _readable_name(entry)
            names.append((label, shown_path(entry.path, folder)))
            found = False
            for path, is_image in _files(Path(entry.path)):
                name = shown_path(path, folder)
                if is_image:
                    found = True
                    photos.append(Photo(path, name, label.strip(), part))
                else:
                    ignored.append(name)
            if not found:
                empty.setdefault(label.strip(), names[-1][1])
    refuse_similar(names, "class folders")
    if loose:
        notes.append(f"{_count(loose, 'photo')} in no class folder left out: {_some(loose)}")
    if ignored:
        notes.append(f"{_count(ignored, 'file')} without an image ignored: {_some(ignored)}")
    left_empty = sorted(set(empty) - {photo.label for photo in photos})
    if left_empty:
        listed = _some([repr(name) for name in left_empty])
        notes.append(f"{_count(left_empty, 'class folder')} without photos left out: {listed}")
    return ordered_source(folder, photos, notes, to_learn=to_learn)


def ordered_source(
    root: Path, photos: list[Photo], notes: list[str], *, to_learn: bool = True
) -> PhotoSource:
    """Put photos in order and, if a model is to be trained on them, check that it can be.

    Raises:
        DataError: no photos, fewer than two classes, or a class without training photos.
    """
    if not photos:
        raise DataError(f"there are no photos in {root}", allowed=_suffixes())
    classes = tuple(sorted({photo.label for photo in photos}))
    if to_learn and len(classes) < 2:
        raise DataError(
            f"{root} has photos of one class alone",
            got=classes[0],
            allowed="two classes or more",
            fix="Put the photos of each class in a folder of its own, named as the class",
        )
    if to_learn and photos[0].part is not None:
        learned = {photo.label for photo in photos if photo.part == "train"}
        if not learned:
            raise DataError(f"{root} has no photos to train on", fix="Add a training part")
        for photo in photos:
            if photo.label not in learned:
                raise DataError(
                    f"the class {photo.label!r} is in the {photo.part} part of {root} "
                    "but has no photos in the training part",
                    fix=did_you_mean(photo.label, learned),
                )
    rank = {part: position for position, part in enumerate((None, *PARTS))}
    photos = sorted(photos, key=lambda photo: (rank[photo.part], photo.label, photo.name))
    return PhotoSource(root, photos, classes, notes)


def refuse_similar(names: Iterable[tuple[str, str]], what: str) -> None:
    """Refuse names that differ only by case or by spaces around them.

    Args:
        names: pairs of a name and of where it was met.
        what: the names are of, in the plural.

    Raises:
        DataError: there are two such names.
    """
    seen: dict[str, tuple[str, str]] = {}
    for name, where in names:
        first = seen.setdefault(name.strip().casefold(), (name, where))
        if first[0] != name:
            raise DataError(
                f"two {what} differ only by case or spaces: {first[0]!r} ({first[1]}) "
                f"and {name!r} ({where})",
                fix="Give them one name, or two that differ more",
            )


def nfc(text: str) -> str:
    """Unicode's composed form: an accented letter can be one character or two."""
    return unicodedata.normalize("NFC", text)


def shown_path(path: str, root: Path) -> str:
    """The absolute `path` relative to `root` with ``/``, without bytes that no text can hold."""
    prefix = f"{root}{os.sep}"
    relative = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, root)
    return relative.replace(os.sep, "/").encode("utf-8", "backslashreplace").decode()


def _part_folders(root: Path, folders: list[os.DirEntry[str]]) -> dict[Part | None, str]:
    """The folder of each part; empty where `root` holds the class folders themselves."""
    parts: dict[Part | None, str] = {}
    for entry in folders:
        part = PART_WORDS.get(entry.name.casefold())
        if part is None:
            continue
        if part in parts:
            raise DataError(
                f"{root} has two {part} parts: {Path(parts[part]).name} and {entry.name}",
                fix="Put them together in one folder",
            )
        parts[part] = entry.path
    others = [entry.name for entry in folders if entry.path not in parts.values()]
    if parts and others:
        raise DataError(
            f"{root} has both parts and other folders: "
            f"{_some([Path(path).name for path in parts.values()])} beside {_some(others)}",
            allowed="class folders alone, or train, validation and test alone with classes in them",
            fix="Put every class into a part, or rename the class that is called like a part",
        )
    return parts


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without what no person put there to be seen."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not _is_litter(entry.name)),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise DataError(
            f"cannot read the folder {folder}: {error.strerror or error}",
            fix="Check the path and permissions",
        ) from error


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER


def _files(folder: Path) -> Iterator[tuple[str, bool]]:
    """Each file under `folder`, and whether it is to be read as an image.

    A folder that links lead to twice is entered once, so that no circle of links has no end.
    """
    entered: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        status = current.stat()
        if (status.st_dev, status.st_ino) in entered:
            continue
        entered.add((status.st_dev, status.st_ino))
        for entry in _entries(current):
            if entry.is_dir():
                waiting.append(Path(entry.path))
            else:
                yield entry.path, _is_image(entry.path)


def _is_image(path: str) -> bool:
    if os.path.splitext(path)[1].lower() in SUFFIXES:  # noqa: PTH122 - of every file: no Path made
        return True
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - a pipe would be waited for
            return not os.path.exists(path)  # noqa: PTH110 - a link that leads nowhere
        with open(path, "rb") as file:  # noqa: PTH123
            return _begins_as_image(file.read(_HEAD_BYTES))
    except OSError:
        return True  # it is told as a file that cannot be read


def _begins_as_image(head: bytes) -> bool:
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return head.startswith(_SIGNATURES) or webp or bitmap


def _readable_name(entry: os.DirEntry[str]) -> str:
    try:
        entry.name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            "the name of a class folder is not Unicode", got=ascii(entry.path), fix="Rename it"
        ) from error
    return nfc(entry.name)


def _count(things: list[str], noun: str) -> str:
    return f"{len(things):,} {noun}{'' if len(things) == 1 else 's'}"


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _suffixes() -> str:
    return "files ending in " + ", ".join(sorted(SUFFIXES))
