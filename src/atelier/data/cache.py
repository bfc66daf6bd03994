"""Arrays on disk, written once and memory-mapped afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..storage import atomic_folder, explained

_INDEX = "index.json"
_VERSION = 1


def cache_dir() -> Path:
    """``$ATELIER_CACHE``, else ``$XDG_CACHE_HOME/atelier``, else ``~/.cache/atelier``."""
    if chosen := os.environ.get("ATELIER_CACHE"):
        return Path(chosen).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "atelier"
    return Path.home() / ".cache" / "atelier"


def save_arrays(
    folder: Path, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Write one .npy per array and `facts` as JSON, all or nothing; replaces what was there.

    Raises:
        StorageError: no space or no permission.
    """
    with atomic_folder(folder, overwrite=True) as temporary:
        described = {}
        for name, array in arrays.items():
            path = temporary / f"{name}.npy"
            np.save(path, array, allow_pickle=False)
            described[name] = {
                "shape": list(array.shape),
                "dtype": array.dtype.str,
                "size_bytes": path.stat().st_size,
            }
        index = {"version": _VERSION, "facts": dict(facts), "arrays": described}
        (temporary / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def open_arrays(folder: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Memory-map, read-only, what `save_arrays` wrote; returns (arrays, facts).

    Raises:
        DataError: a file is missing or is not as it was written.
        StorageError: no permission to read.
    """
    try:
        with explained(folder, "read"):
            try:
                index = json.loads((folder / _INDEX).read_bytes())
                if index["version"] != _VERSION:
                    raise ValueError(f"version {index['version']}, expected {_VERSION}")
                arrays = {
                    name: _open(folder / f"{name}.npy", expected)
                    for name, expected in index["arrays"].items()
                }
                return arrays, dict(index["facts"])
            except FileNotFoundError as error:
                raise ValueError(f"{Path(error.filename).name} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # A JSON file that is valid but of another form fails with the last three.
        raise DataError(f"the cached arrays in {folder} are damaged: {error}") from error


def _open(path: Path, expected: Mapping[str, Any]) -> npt.NDArray[Any]:
    size = path.stat().st_size
    if size != expected["size_bytes"]:
        raise ValueError(f"{path.name} has {size} bytes, expected {expected['size_bytes']}")
    array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    found = (list(array.shape), array.dtype.str)
    if found != (expected["shape"], expected["dtype"]):
        raise ValueError(f"{path.name} has shape {found[0]} and type {found[1]}, not as written")
    return array
