"""Folders of photos for the tests: small pictures, each of its own."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 24, height: int = 18) -> Image.Image:
    """Smooth patches that no other seed has."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, image_format: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def make_photos(root: Path, counts: dict[str, int], start: int = 0) -> Path:
    """``ROOT/CLASS/0.jpg ...``, so many of each class."""
    seed = start
    for label, count in counts.items():
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (folder / f"{number}.jpg").write_bytes(encoded(picture(seed), quality=95))
            seed += 1
    return root


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def _png(width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    body = _chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + body + _chunk(b"IEND", b"")


def _patched(data: bytes, at: int, layout: str, *values: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, at, *values)
    return bytes(changed)


def _tiff(width: int, height: int, **tags: int) -> bytes:
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: 4} | {int(tag.removeprefix("tag")): value for tag, value in tags.items()}
    table = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items())
    )
    return b"II*\0" + struct.pack("<I", 12) + bytes(4) + struct.pack("<H", len(entries)) + table


def bombs(sizes=((30_000, 30_000), (60_000, 2_000), (9_000, 9_000))) -> dict[str, bytes]:
    """Small files that claim huge pictures, in every format."""
    found = {}
    for width, height in sizes:
        name = f"bomb-{width}x{height}"
        jpeg = encoded(Image.new("RGB", (16, 16)))
        found[f"{name}.jpg"] = _patched(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH", height, width)
        found[f"{name}.png"] = _png(width, height)
        gif = encoded(Image.new("P", (16, 16)), "GIF")
        gif = _patched(gif, 6, "<HH", width, height)
        found[f"{name}.gif"] = _patched(gif, gif.index(b",") + 5, "<HH", width, height)
        bmp = encoded(Image.new("RGB", (16, 16)), "BMP")
        found[f"{name}.bmp"] = _patched(bmp, 18, "<ii", width, height)
        found[f"{name}.tiff"] = _tiff(width, height)
    # WebP has 14 bits for a side, and 24 in its extended header.
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\xff\xff\xff\xff\xff"
    inner = encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    body = b"WEBP" + extended + inner
    found["bomb.webp"] = b"RIFF" + struct.pack("<I", len(body)) + body
    plain = encoded(Image.new("RGB", (16, 16)), "WEBP", quality=50)
    frame = plain.index(b"\x9d\x01\x2a") + 3
    found["bomb-lossy.webp"] = _patched(plain, frame, "<HH", 16_383, 16_383)
    return found


def mangled() -> dict[str, bytes]:
    """300 and more files that are no photos, by their names."""
    rng = np.random.default_rng(0)
    found: dict[str, bytes] = bombs()
    noise = Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8))
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        suffix = image_format.lower()
        whole = encoded(noise, image_format)
        # The last bytes may be padding or a trailer without which all pixels are there.
        for cut in np.linspace(1, len(whole) * 0.95, 32).astype(int).tolist():
            found[f"cut-{cut:05}.{suffix}"] = whole[:cut]
        found[f"zeros.{suffix}"] = bytes(500)
        found[f"head-then-zeros.{suffix}"] = whole[:8] + bytes(len(whole) - 8)
        found[f"empty.{suffix}"] = b""
        found[f"text.{suffix}"] = b"This is no picture.\n" * 20
        found[f"page.{suffix}"] = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
        for number in range(4):
            found[f"random-{number}.{suffix}"] = rng.bytes(300 + number)
            found[f"random-after-head-{number}.{suffix}"] = whole[:12] + rng.bytes(300)
    for other in ("ICO", "PPM", "TGA", "JPEG2000", "PDF", "EPS"):
        for suffix in ("jpg", "png"):
            found[f"{other}-called.{suffix}"] = encoded(noise, other)
    for depth, color in ((3, 2), (8, 5), (16, 3), (32, 0)):
        found[f"mode-{depth}-{color}.png"] = _png(8, 8, depth, color)
    found["no-size.png"] = _png(0, 0)
    found["sides.tiff"] = _tiff(8, 8, tag258=5, tag277=9)
    return found
