"""IDX, the file format of MNIST and its drop-in replacements, plain or gzip-compressed.

Format: http://yann.lecun.com/exdb/mnist (archived): two zero bytes, a type byte, the number of
dimensions, one big-endian 32-bit size per dimension, then the values.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DataError

_UNSIGNED_BYTE = 0x08
_MAX_ITEMS = 10_000_000
_MAX_SIDE = 4096
_MAX_BYTES = 4 * 2**30
_CHUNK = 2**20
_REFETCH = "Get the file again from where it came"


class IdxFile(NamedTuple):
    """What one IDX file holds.

    Attributes:
        values: uint8 array with the dimensions that the header names.
        sha256: hex digest of the decompressed file, header included.
    """

    values: npt.NDArray[np.uint8]
    sha256: str


def read_idx(path: str | Path, *, dimensions: int) -> IdxFile:
    """Read a file of unsigned bytes, plain or .gz: told by its content, not by its name.

    Args:
        path: the file.
        dimensions: 3 for images (N, H, W), 1 for labels (N,).

    Raises:
        DataError: missing, unreadable, empty, corrupt gzip, wrong magic, impossible sizes,
            truncated body or trailing bytes.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(file, str(path), dimensions)
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}", fix="Check the path and permissions"
        ) from error


def parse_idx(data: bytes, *, dimensions: int, name: str = "IDX data") -> IdxFile:
    """As `read_idx`, from bytes in memory; `name` stands for the file in error messages."""
    return _read(io.BytesIO(data), name, dimensions)


def _read(file: BinaryIO, name: str, dimensions: int) -> IdxFile:
    start = file.read(2)
    file.seek(0)
    if not start:
        raise DataError(f"{name} is empty", fix=_REFETCH)
    if start != b"\x1f\x8b":
        return _parse(file, name, dimensions)
    try:
        with gzip.GzipFile(fileobj=file) as unzipped:
            return _parse(unzipped, name, dimensions)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{name} is a corrupt gzip file: {error}", fix=_REFETCH) from error


def _parse(stream: BinaryIO | gzip.GzipFile, name: str, dimensions: int) -> IdxFile:
    header = stream.read(4 + 4 * dimensions)
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if header[:4] != magic:
        raise DataError(
            f"{name} is no IDX file of unsigned bytes in {dimensions} dimension(s): wrong magic",
            got="0x" + header[:4].hex(),
            allowed="0x" + magic.hex(),
            fix="Check that images and labels are not swapped",
        )
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{name} is cut off inside its header", fix=_REFETCH)
    shape = struct.unpack(f">{dimensions}I", header[4:])
    sizes = " x ".join(map(str, shape))
    size = math.prod(shape)
    possible = 1 <= shape[0] <= _MAX_ITEMS and all(1 <= side <= _MAX_SIDE for side in shape[1:])
    if not possible or size > _MAX_BYTES:
        raise DataError(
            f"{name} has impossible sizes in its header",
            got=sizes,
            allowed=f"1 to {_MAX_ITEMS:,} items of 1 to {_MAX_SIDE} pixels a side, 4 GiB in all",
            fix=_REFETCH,
        )
    # In chunks: a false header may promise gigabytes, and only what is really there is allocated.
    body = bytearray()
    while len(body) < size and (chunk := stream.read(min(_CHUNK, size - len(body)))):
        body += chunk
    if len(body) < size:
        raise DataError(
            f"{name} is cut off: its header promises {sizes} = {size:,} bytes",
            got=f"{len(body):,} bytes",
            fix=_REFETCH,
        )
    if stream.read(1):
        raise DataError(
            f"{name} goes on after the {sizes} = {size:,} bytes that its header promises",
            fix=_REFETCH,
        )
    digest = hashlib.sha256(header)
    digest.update(body)
    return IdxFile(np.frombuffer(body, np.uint8).reshape(shape), digest.hexdigest())
