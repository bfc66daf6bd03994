"""Tables of photos, CSV or Parquet: which file has which label, and where it belongs."""

from __future__ import annotations

import csv
import io
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from ..config import Columns
from ..errors import DataError, did_you_mean
from .photo_files import (
    PART_WORDS,
    Part,
    Photo,
    PhotoSource,
    nfc,
    ordered_source,
    refuse_similar,
    shown_path,
)

_DELIMITERS = ",;\t|"
_SHOWN_ROWS = 5

# Each column as text, cell by cell, and the number by which a person finds each row.
_Table = tuple[dict[str, list[str]], list[int]]


def list_table(path: Path, columns: Columns, *, to_learn: bool = True) -> PhotoSource:
    """The photos that a .csv, .tsv or .parquet file names, with paths relative to it.

    Of a CSV file, the delimiter (``, ; | tab``), quotes and a byte order mark are found out. Row
    numbers in errors count the lines of a CSV file, whose header is line 1, and the rows of a
    Parquet file from 1.

    Args:
        path: the table.
        columns: what its columns are called.
        to_learn: as of `list_class_folders`.

    Raises:
        DataError: the table cannot be read, a column is missing, or a row cannot be understood;
            the error names the rows.
    """
    table, numbers = _read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    if not numbers:
        raise DataError(f"the table {path} has no rows")
    images = _column(path, table, columns.image, "image")
    labels = _column(path, table, columns.label, "label")
    chosen = Columns()
    # A column that was named by the user must be there; one of the default name need not.
    parts, groups, weights = (
        _column(path, table, name, field)
        if name in table or name != getattr(chosen, field)
        else None
        for field, name in (
            ("split", columns.split),
            ("group", columns.group),
            ("weight", columns.weight),
        )
    )
    refuse = Refusal(path, numbers)
    refuse.where("an empty path", (not image.strip() for image in images))
    refuse.where("a path with a null character", ("\0" in image for image in images))
    refuse.where("an empty label", (not label.strip() for label in labels))
    labels = [nfc(label) for label in labels]
    named = zip(labels, (f"row {number}" for number in numbers), strict=True)
    refuse_similar(named, f"labels in {path.name}")
    split = [None] * len(numbers) if parts is None else [_part(word) for word in parts]
    if parts is not None:
        unknown = [part is None for part in split]
        first = next((word for word, bad in zip(parts, unknown, strict=True) if bad), "")
        refuse.where(
            f"an unknown part {first!r}", unknown, allowed="train, validation (val, valid), test"
        )
    counts: list[float | None] = [None] * len(numbers)
    if weights is not None:
        counts = [_weight(word) for word in weights]
        refuse.where("a weight that is not a number of 0 or more", (c is None for c in counts))
        if not any(counts):
            raise DataError(f"all weights in {path} are 0", fix="Give some images a weight above 0")
    find = _Finder(path.parent)
    photos = []
    for position, image in enumerate(images):
        found = find(image.strip())
        group = nfc(groups[position].strip()) or None if groups is not None else None
        photos.append(
            Photo(
                found,
                shown_path(found, path.parent),
                labels[position].strip(),
                split[position],
                group,
                counts[position],
            )
        )
    photos, notes = _without_repeats(photos, refuse)
    return ordered_source(path, photos, notes, to_learn=to_learn)


def column_by_file(path: Path, name: str, columns: Columns) -> dict[str, str]:
    """What any column of a table says of each photo, by the photo's name in the data set; where
    rows repeat a photo, the first counts.

    Args:
        path: the table.
        name: of the column.
        columns: what the others are called.

    Raises:
        DataError: the table cannot be read, or has no such column.
    """
    table, _ = _read_parquet(path) if path.suffix.lower() == ".parquet" else read_csv(path)
    images = _column(path, table, columns.image, "image")
    if nfc(name).strip() not in table:
        raise DataError(
            f"the table {path} has no column {name!r}",
            got=", ".join(table),
            fix=did_you_mean(name, table),
        )
    find = _Finder(path.parent)
    found: dict[str, str] = {}
    for image, value in zip(images, table[nfc(name).strip()], strict=True):
        found.setdefault(shown_path(find(image.strip()), path.parent), nfc(value).strip())
    return found


class Refusal:
    """Errors that name the rows of a table."""

    def __init__(self, path: Path, numbers: list[int]) -> None:
        self.path, self.numbers = path, numbers

    def where(self, what: str, bad: Iterable[bool], allowed: str | None = None) -> None:
        """Refuse the table if a row is bad."""
        self.at(what, [position for position, is_bad in enumerate(bad) if is_bad], allowed)

    def at(self, what: str, positions: list[int], allowed: str | None = None) -> None:
        """Refuse the table if `positions` names a row."""
        if positions:
            raise DataError(
                f"the table {self.path} has {what} in {_rows(self.numbers, positions)}",
                allowed=allowed,
                fix="Mend the table",
            )


def _rows(numbers: list[int], positions: list[int]) -> str:
    shown = ", ".join(str(numbers[position]) for position in positions[:_SHOWN_ROWS])
    more = len(positions) - _SHOWN_ROWS
    return f"row{'s' * (len(positions) > 1)} {shown}" + (f" and {more:,} more" if more > 0 else "")


def _column(path: Path, table: dict[str, list[str]], name: str, field: str) -> list[str]:
    cells = table.get(nfc(name).strip())
    if cells is None:
        raise DataError(
            f"the table {path} has no column {name!r}",
            got=", ".join(table),
            fix=f"{did_you_mean(name, table)} Name it with --set photos.columns.{field}=NAME",
        )
    return cells


def _part(word: str) -> Part | None:
    return PART_WORDS.get(word.strip().casefold())


def _weight(word: str) -> float | None:
    try:
        weight = float(word)
    except ValueError:
        return None
    return weight if weight >= 0 and math.isfinite(weight) else None


def _without_repeats(photos: list[Photo], refuse: Refusal) -> tuple[list[Photo], list[str]]:
    """Each file once. Rows that say different things of one file are refused."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for position, photo in enumerate(photos):
        rows[os.path.normcase(photo.path)].append(position)
    asked: tuple[tuple[str, Callable[[Photo], object]], ...] = (
        ("labels", lambda photo: photo.label),
        ("parts", lambda photo: photo.part),
        ("groups", lambda photo: photo.group),
        ("weights", lambda photo: photo.weight),
    )
    repeated = 0
    for positions in rows.values():
        repeated += len(positions) - 1
        for what, of in asked if len(positions) > 1 else ():
            if len({of(photos[position]) for position in positions}) > 1:
                refuse.at(f"different {what} of {photos[positions[0]].name}", positions)
    notes = [f"{repeated:,} rows that name a photo again left out"] if repeated else []
    return [photos[positions[0]] for positions in rows.values()], notes


class _Finder:
    """Paths of a table to files, though an accented letter may be written in another way."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self._names: dict[str, dict[str, str]] = {}

    def __call__(self, image: str) -> str:
        path = self._exact(image)
        if os.path.lexists(path):
            return path
        if os.sep == "/" and "\\" in image:  # a table that was written on Windows
            other = self._exact(image.replace("\\", "/"))
            if os.path.lexists(other):
                return other
        return self._composed(path)

    def _exact(self, image: str) -> str:
        return os.path.normpath(os.path.join(self.folder, image))  # noqa: PTH118 - one per row

    def _composed(self, path: str) -> str:
        """The file whose name is equal to `path` in NFC; `path` itself where there is none."""
        if os.path.lexists(path):
            return path
        parent, name = os.path.split(path)
        if parent == path:
            return path
        parent = self._composed(parent)
        if parent not in self._names:
            try:
                entries = os.listdir(parent)  # noqa: PTH208 - names alone are wanted
            except OSError:
                entries = []
            self._names[parent] = {nfc(entry): entry for entry in entries}
        return os.path.join(parent, self._names[parent].get(nfc(name), name))  # noqa: PTH118


def read_csv(path: Path) -> _Table:
    text = _text_of(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: _fields(first, mark))
    # Strict, for a quote that is not closed would swallow the rows after it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    numbers: list[int] = []
    try:
        start = 1
        for row in reader:
            number, start = start, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [nfc(cell).strip() for cell in row]
                continue
            rows.append(row)
            numbers.append(number)
    except csv.Error as error:
        raise DataError(
            f"the table {path} is broken in row {reader.line_num}: {error}", fix="Mend its quotes"
        ) from error
    if header is None:
        raise DataError(f"the table {path} is empty", allowed="a header and a row for each photo")
    _refuse_double(path, header)
    Refusal(path, numbers).where(
        f"another number of cells than its header, which has {len(header)},",
        (len(row) != len(header) for row in rows),
    )
    return {name: [row[at] for row in rows] for at, name in enumerate(header)}, numbers


def _fields(line: str, delimiter: str) -> int:
    try:
        return max(map(len, csv.reader([line], delimiter=delimiter, strict=True)), default=0)
    except csv.Error:
        return 0


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"the table {path} is not Unicode text in row {line}", fix="Save it as UTF-8"
        ) from error


def _refuse_double(path: Path, header: list[str]) -> None:
    double = next((name for name in header if name and header.count(name) > 1), None)
    if double is not None:
        raise DataError(f"the table {path} has two columns {double!r}", fix="Rename one of them")


def _read_parquet(path: Path) -> _Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(
            f"{path.name} is a Parquet file, and pyarrow, which reads it, is not installed",
            fix="Run `pip install 'atelier[parquet]'`, or save the table as CSV",
        ) from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            header = [nfc(name).strip() for name in file.schema_arrow.names]
            _refuse_double(path, header)
            found = file.read()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a Parquet file that can be read: {error}") from error
    columns: dict[str, list[str]] = {}
    for name, column in zip(header, found.columns, strict=True):
        plain = column.type
        if pyarrow.types.is_dictionary(plain):
            plain = plain.value_type
        if (
            pyarrow.types.is_string(plain)
            or pyarrow.types.is_large_string(plain)
            or pyarrow.types.is_integer(plain)
            or pyarrow.types.is_floating(plain)
        ):
            columns[name] = [
                "" if value is None or value != value else str(value)  # NaN is no text
                for value in column.to_pylist()
            ]
    return columns, list(range(1, found.num_rows + 1))
