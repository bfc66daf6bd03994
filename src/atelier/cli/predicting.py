"""What `atelier predict` writes: lines, a table or JSON, each image as soon as it is known."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TextIO

from ..errors import ConfigError, ImageError
from ..inference import (
    ImagePrediction,
    find_images,
    open_model,
    predict_each,
    sets_rule_of,
    threshold_of,
)
from ..storage import atomic_path, refuse_existing

_Writer = Callable[[ImagePrediction], None]


def print_predictions(
    model_path: Path,
    images: list[Path],
    *,
    top: int,
    invert: Literal["auto", "yes", "no"],
    max_error: float | None,
    unknown_below: float | None,
    sets: float | None,
    csv_path: Path | None,
    overwrite: bool,
    skip_bad: bool,
    as_json: bool,
    device: str,
    progress: bool,
) -> None:
    """Predict and write; the options are those of the command.

    Raises:
        ConfigError: two options that exclude each other, or an error that cannot be promised.
        ImageError: files could not be read, unless `skip_bad`; the others are written all the same.
    """
    if max_error is not None and unknown_below is not None:
        raise ConfigError('--max-error and --unknown-below both say when to answer "unknown"')
    if csv_path is not None and as_json:
        raise ConfigError("--csv and --json are two forms of the same")
    if csv_path is not None:
        refuse_existing(csv_path, overwrite=overwrite, option="--csv")
    model = open_model(model_path)
    paths = find_images(images)
    threshold, rule = threshold_of(model, max_error=max_error, unknown_below=unknown_below)
    rule_of_sets = sets_rule_of(model, sets)
    if max_error is not None:
        print(rule, file=sys.stderr)
    bad: list[tuple[str, ImageError]] = []
    results = predict_each(
        model,
        paths,
        invert=invert,
        unknown_below=threshold,
        sets=rule_of_sets,
        on_bad=lambda path, error: bad.append((path, error)),
        device=device,
        progress=progress,
    )
    if csv_path is not None:
        writing = _table(csv_path, model.classes, with_sets=sets is not None)
    else:
        writing = _json(sys.stdout) if as_json else _lines(top)
    with writing as write:
        for result in results:
            write(result)
    if csv_path is not None:
        print(f"table: {csv_path}")
    _tell_bad(bad, len(paths), skip_bad=skip_bad)


@contextmanager
def _lines(top: int) -> Iterator[_Writer]:
    def write(result: ImagePrediction) -> None:
        likeliest = list(result.probs.items())[:top]
        words = "  ".join(f"{name} {share:.1%}" for name, share in likeliest)
        words = f"unknown, at best {words}" if result.unknown else words
        note = "  (light background: light and dark were swapped)" if result.inverted else ""
        print(f"{_shown(result.path)}: {words}{_possible(result)}{note}")

    yield write


@contextmanager
def _json(out: TextIO) -> Iterator[_Writer]:
    separator = "[\n"

    def write(result: ImagePrediction) -> None:
        nonlocal separator
        row = {
            "path": _shown(result.path),
            "class": result.predicted,
            "unknown": result.unknown,
            "probs": result.probs,
            "inverted": result.inverted,
        }
        if result.possible is not None:
            row["possible"] = list(result.possible)
        text = json.dumps(row, indent=2).replace("\n", "\n  ")
        out.write(f"{separator}  {text}")
        separator = ",\n"

    yield write
    out.write("[]\n" if separator == "[\n" else "\n]\n")


@contextmanager
def _table(path: Path, classes: tuple[str, ...], *, with_sets: bool) -> Iterator[_Writer]:
    with (
        atomic_path(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        first = ["file", "predicted", "unknown", "probability", *["possible"] * with_sets]
        table.writerow([*first, *(f"P({name})" for name in classes)])

        def write(result: ImagePrediction) -> None:
            unknown = "yes" if result.unknown else "no"
            shares = [f"{result.probs[name]:.6f}" for name in classes]
            probability = f"{result.probability:.6f}"
            row = [_shown(result.path), result.predicted, unknown, probability]
            if result.possible is not None:
                row.append("; ".join(result.possible))
            table.writerow([*row, *shares])

        yield write


def _tell_bad(bad: list[tuple[str, ImageError]], total: int, *, skip_bad: bool) -> None:
    sys.stdout.flush()
    if len(bad) > 1 or skip_bad:
        for _, error in bad:
            print(f"left out: {error}", file=sys.stderr)
    if skip_bad or not bad:
        return
    if len(bad) == 1:
        raise bad[0][1]
    raise ImageError(
        f"{len(bad):,} of {total:,} files could not be read",
        fix="Mend or remove them, or pass --skip-bad",
    )


def _possible(result: ImagePrediction) -> str:
    if result.possible is None:
        return ""
    return f"  possible: {', '.join(result.possible) or 'none of the classes'}"


def _shown(path: str) -> str:
    """A path that any text can hold, on one line."""
    return path.encode("utf-8", "backslashreplace").decode().replace("\n", "\\n")
