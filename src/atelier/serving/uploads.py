"""What an image claims to be, by its first bytes, before anything is decoded."""

from __future__ import annotations

import io
import struct

from PIL import Image

from .limits import ImageFormat, Limits
from .problems import Problem

# The tests of Pillow's own decoders, so that no file is taken for another one than it looks at.
_BEGINNINGS: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_SHOWN = {"WEBP": "WebP"}
_PNG_SIZE = slice(16, 24)
_WEBP_HEADER_BYTES = 30


def check_image(data: bytes, limits: Limits) -> ImageFormat:
    """The format of one image file that `limits` allow; its headers are read, none of its pixels.

    Raises:
        Problem: empty, of no allowed format, too many bytes or pixels, or with headers that
            cannot be read.
    """
    allowed = ", ".join(_SHOWN.get(name, name) for name in limits.formats)
    if not data:
        raise Problem("unreadable-image", "the image is empty")
    if len(data) > limits.max_image_bytes:
        detail = f"an image may have {limits.max_image_bytes:,} bytes; this has {len(data):,}"
        raise Problem("image-too-large", detail)
    found = format_of(data)
    if found is None or found not in limits.formats:
        raise Problem("unsupported-media-type", f"images may be {allowed}; this is none of them")
    width, height = _size_of(data, found)
    if width * height > limits.max_pixels:
        detail = f"an image may have {limits.max_pixels:,} pixels; this has {width:,} x {height:,}"
        raise Problem("image-too-large", detail)
    return found


def format_of(data: bytes) -> ImageFormat | None:
    """The format that a file's first bytes tell, whatever its name says."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for beginning, name in _BEGINNINGS:
        if data.startswith(beginning):
            return name
    return None


def _size_of(data: bytes, image_format: ImageFormat) -> tuple[int, int]:
    """(width, height) as the headers claim them."""
    # Most images are PNGs, and Pillow takes far longer to say the same.
    if image_format == "PNG" and data[12:16] == b"IHDR" and len(data) >= _PNG_SIZE.stop:
        width, height = struct.unpack(">II", data[_PNG_SIZE])
        return width, height
    if image_format == "WEBP":  # Pillow asks for the memory of the pixels as soon as it opens one
        return _webp_size(data)
    try:
        with Image.open(io.BytesIO(data), formats=(image_format,)) as image:
            return image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Problem("image-too-large", "an image may not have that many pixels") from error
    except Exception as error:  # whatever hostile headers bring forth
        raise Problem("unreadable-image", "the image is corrupt or cut off") from error


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a WebP file of any of its three kinds (RFC 9649)."""
    if len(data) >= _WEBP_HEADER_BYTES:
        kind = data[12:16]
        if kind == b"VP8X":
            width = int.from_bytes(data[24:27], "little") + 1
            return width, int.from_bytes(data[27:30], "little") + 1
        if kind == b"VP8L" and data[20] == 0x2F:
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
            width, height = struct.unpack("<HH", data[26:30])
            return width & 0x3FFF, height & 0x3FFF
    raise Problem("unreadable-image", "the image is corrupt or cut off")
