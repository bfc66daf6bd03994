"""Which file of photos has which content, and which row of pixels."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..storage import atomic_path

_VERSION = 1  # of the cache's files, and of the way in which photos are made into pixels


@dataclass(frozen=True)
class PhotoIndex:
    """What a cache knows of N files, of which M have a row of pixels.

    Attributes:
        paths: as the system knows them.
        status: (N, 3) size, mtime_ns, ctime_ns; -1 for a file that must be read again.
        checksums: (N, 32) SHA-256 of the content; zeros for a file that could not be read.
        rows: (N,) -1 for a bad file.
        hashes: (M,) perceptual hashes.
        reasons: why a file is bad, by its position.
        rows_name: the folder of the pixels.
    """

    paths: list[bytes]
    status: npt.NDArray[np.int64]
    checksums: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    reasons: dict[int, str]
    rows_name: str

    def save(self, path: Path) -> None:
        """Write the index, whole or not at all."""
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(
                file,
                version=np.array(_VERSION),
                paths=np.frombuffer(b"\0".join(self.paths), np.uint8),
                status=self.status,
                checksums=self.checksums,
                rows=self.rows,
                hashes=self.hashes,
                facts=np.array(json.dumps([self.rows_name, list(self.reasons.items())])),
            )

    @classmethod
    def load(cls, path: Path) -> PhotoIndex | None:
        """Read what `save` wrote; None where there is none that this version can use."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                if int(stored["version"]) != _VERSION:
                    return None
                rows_name, reasons = json.loads(str(stored["facts"]))
                names = ("status", "checksums", "rows", "hashes")
                arrays = {name: stored[name] for name in names}
                paths = stored["paths"].tobytes().split(b"\0")
                return cls(paths, **arrays, reasons=dict(reasons), rows_name=str(rows_name))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
            return None
