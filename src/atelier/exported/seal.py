"""The seal of an exported file: it ends with the SHA-256 of all bytes before, in hexadecimal.

A file in which any one byte has changed is refused before a parser or a runtime sees it. Both
formats have a place for it where their own readers expect one: the last bytes of an ONNX file are
the value of its last metadata entry, and those of a torch program are the comment of its zip
archive. The seal tells of damage; it is no signature, for whoever changes a file on purpose can
seal it anew.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from ..errors import ExportError
from ..storage import explained
from .card import ExportCard

MAX_BYTES = 2**31 - 1  # what a protobuf may have
CARD = "atelier.card"
SEAL = "atelier.sha256"
_DIGEST_BYTES = 64
_MAX_CARD_BYTES = 2**22
_METADATA = 14  # the number of the field `metadata_props` in ONNX's ModelProto
_EMPTY_COMMENT = b"\x00\x00"
_MEND = "Export the run anew with `atelier export`"


class Sealed(NamedTuple):
    """A file whose seal holds.

    Attributes:
        data: its bytes.
        card: what they say of themselves.
        format: of the graph.
        sha256: of all bytes, the seal among them, in hexadecimal.
    """

    data: bytes
    card: ExportCard
    format: Literal["onnx", "torch"]
    sha256: str


def seal_onnx(graph: bytes, card: ExportCard) -> bytes:
    """The bytes of an export.

    Args:
        graph: a serialized ModelProto without metadata of these names. Protobuf lets a message be
            continued by appending fields to it.
    """
    start = graph + _entry(CARD, card.model_dump_json().encode())
    unsealed = start + _entry(SEAL, bytes(_DIGEST_BYTES))[:-_DIGEST_BYTES]
    return unsealed + _digest(unsealed)


def seal_archive(archive: bytes, card: ExportCard) -> bytes:
    """The bytes of an export.

    Args:
        archive: a zip file without a comment, as `torch.export.save` makes it.
    """
    file = io.BytesIO(archive)
    with zipfile.ZipFile(file, "a") as opened:
        # Of a fixed time, so that the same program makes the same bytes.
        opened.writestr(
            zipfile.ZipInfo(f"{_root(opened)}/extra/{CARD}.json"), card.model_dump_json()
        )
    data = file.getvalue()
    if not data.endswith(_EMPTY_COMMENT):
        raise ValueError("an archive with a comment has no place for a seal")
    comment = f"{SEAL}:".encode()
    length = (len(comment) + _DIGEST_BYTES).to_bytes(2, "little")
    unsealed = data[: -len(_EMPTY_COMMENT)] + length + comment
    return unsealed + _digest(unsealed)


def read_sealed(path: Path) -> Sealed:
    """Read an export whose seal holds.

    Raises:
        ExportError: missing, no regular file, not an export, changed since it was written, or of
            another version.
        StorageError: the file cannot be read.
    """
    data = _read(path)
    unsealed = memoryview(data)[:-_DIGEST_BYTES]
    checksum = hashlib.sha256(unsealed)
    if checksum.hexdigest().encode() != data[-_DIGEST_BYTES:]:
        raise ExportError(
            f"{path} has changed since it was exported, or was cut off: its bytes do not have the "
            "SHA-256 that it ends with",
            fix=f"Copy it again, or e{_MEND[1:]}",
        )
    checksum.update(data[-_DIGEST_BYTES:])
    is_archive = data.startswith(b"PK")
    try:
        text = _card_of_archive(data) if is_archive else _card_of_onnx(data)
        card = ExportCard.model_validate_json(text)
    except (ValidationError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise ExportError(
            f"{path} is not an export of this version of atelier: {reason}", fix=_MEND
        ) from error
    return Sealed(data, card, "torch" if is_archive else "onnx", checksum.hexdigest())


def _read(path: Path) -> bytes:
    with explained(path, "read"):
        try:
            status = path.stat()
        except FileNotFoundError as error:
            raise ExportError(f"there is no file {path}", fix="Check the path") from error
        if stat.S_ISDIR(status.st_mode):
            raise ExportError(f"{path} is a folder, not an exported file")
        if not stat.S_ISREG(status.st_mode):
            raise ExportError(f"{path} is not a regular file")
        if status.st_size > MAX_BYTES:
            raise ExportError(
                f"{path} is too large for an export",
                got=f"{status.st_size:,} bytes",
                allowed=f"up to {MAX_BYTES:,}",
            )
        with path.open("rb") as file:
            # A file of another kind is told by its end, and never read whole.
            file.seek(-min(status.st_size, _tail_bytes()), os.SEEK_END)
            if SEAL.encode() not in file.read(_tail_bytes()):
                raise ExportError(
                    f"{path} is not an export by atelier, or was cut off: it has no seal", fix=_MEND
                )
            file.seek(0)
            return file.read(MAX_BYTES)


def _tail_bytes() -> int:
    return len(_entry(SEAL, bytes(_DIGEST_BYTES)))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def _entry(key: str, value: bytes) -> bytes:
    """One of ModelProto's `metadata_props`: a message of two strings."""
    return _field(_METADATA, _field(1, key.encode()) + _field(2, value))


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field of protobuf, whose number is below 16."""
    length, size = len(value), bytearray()
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + value


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The length-delimited fields of a protobuf message: numbers and values.

    Raises:
        ValueError: it is no such message.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        start = at
        match key & 7:
            case 0:
                _, end = _varint(data, at)
            case 1:
                end = at + 8
            case 2:
                size, start = _varint(data, at)
                end = start + size
            case 5:
                end = at + 4
            case _:
                raise ValueError("it is not an ONNX file")
        if end > len(data):
            raise ValueError("it is not an ONNX file")
        if key & 7 == 2:
            yield key >> 3, data[start:end]
        at = end


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    value = 0
    for place, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    raise ValueError("it is not an ONNX file")


def _card_of_onnx(data: bytes) -> bytes:
    for number, value in _fields(memoryview(data)):
        if number == _METADATA:
            entry = {key: bytes(text) for key, text in _fields(value)}
            if entry.get(1) == CARD.encode():
                return entry[2]
    raise ValueError("it has no card")


def _card_of_archive(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        name = f"{_root(archive)}/extra/{CARD}.json"
        if archive.getinfo(name).file_size > _MAX_CARD_BYTES:
            raise ValueError("its card is too long")
        return archive.read(name)


def _root(archive: zipfile.ZipFile) -> str:
    """The folder that everything in an archive of torch is in."""
    return archive.namelist()[0].partition("/")[0]
