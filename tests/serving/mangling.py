"""Good requests, and what hostile or broken clients make of them."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from PIL import Image

BOUNDARY = "3d6b6a416f9b5"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def picture(image_format: str = "PNG", mode: str = "L", size: tuple[int, int] = (28, 28)) -> bytes:
    """An image file."""
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, image_format)
    return file.getvalue()


def form(parts: Iterable[tuple[str, bytes]], boundary: str = BOUNDARY) -> bytes:
    """A multipart body of headers and contents."""
    body = b"".join(
        f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode()


def field(name: str, more: str = "") -> str:
    """The header of a part."""
    return f'Content-Disposition: form-data; name="{name}"{more}'


def as_json(**content: Any) -> bytes:
    """JSON of one image and whatever else is given."""
    image = {"data": base64.b64encode(PNG).decode()}
    return json.dumps({"images": [image]} | content).encode()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, zeros: int = 0) -> bytes:
    """A PNG that claims a size and holds `zeros` bytes of pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * zeros, 9))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + chunk(b"IEND", b"")


PNG = picture()
PICTURES = {
    "image/png": PNG,
    "image/jpeg": picture("JPEG"),
    "image/gif": picture("GIF"),
    "image/bmp": picture("BMP"),
    "image/webp": picture("WEBP", "RGB"),
    "image/tiff": picture("TIFF"),
}
GOOD: list[tuple[str, bytes]] = [
    *PICTURES.items(),
    ("application/json", as_json()),
    ("application/json", as_json(top_k=2, model="tiny")),
    (FORM, form([(field("images"), PNG)])),
    (FORM, form([(field("images", '; filename="a.png"'), PNG), (field("top_k"), b"2")])),
    (FORM, form([(field("images") + "\r\nContent-Type: image/png", PNG)] * 3)),
]
INSERTED = [
    *(b"\0", b"\xff" * 8, b"\r\n", b"--", f"--{BOUNDARY}".encode(), f"\r\n--{BOUNDARY}--".encode()),
    *(b'"', b"\\", b"{", b"[", b"NaN", b"1e999", b"\\ud800", b"../", b"%00", b"\xed\xa0\x80"),
    *(b"<script>", b"http://127.0.0.1:9/", b"file:///etc/passwd", PNG[:40], b"GIF89a", b"II*\0"),
]
KINDS = [
    *dict(GOOD),
    "",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="a b"',
    f"multipart/mixed; boundary={BOUNDARY}",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded",
    "text/plain",
    "image/svg+xml",
    "IMAGE/PNG",
    "*/*",
    "application/octet-stream",
]
QUERIES = [
    "",
    "",
    "",
    "top_k=2",
    "top_k=0",
    "top_k=" + "9" * 5000,
    "model=tiny",
    "model=%00",
    "a=b",
]
QUERIES += [
    "top_k=2&top_k=3",
    "top_k",
    "%ff=%ff",
    "&" * 50,
    "model=" + "a" * 9000,
    "top_k=%F0%9F%A6",
]


@st.composite
def mangled(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """A content type, a query and a body that was good before."""
    kind, body = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(body)))
        what = draw(st.sampled_from(("flip", "cut", "drop", "insert", "repeat", "swap")))
        if what == "flip" and at < len(body):
            body = body[:at] + bytes([body[at] ^ (1 << draw(st.integers(0, 7)))]) + body[at + 1 :]
        elif what == "cut":
            body = body[:at]
        elif what == "drop":
            body = body[:at] + body[at + draw(st.integers(1, 40)) :]
        elif what == "insert":
            word = draw(st.one_of(st.sampled_from(INSERTED), st.binary(min_size=1, max_size=30)))
            body = body[:at] + word + body[at:]
        elif what == "repeat":
            body = body[:at] + body[at : at + 60] * draw(st.integers(2, 30)) + body[at + 60 :]
        elif what == "swap":
            body = body[at:] + body[:at]
    if draw(st.integers(0, 5)) == 0:
        kind = draw(st.sampled_from(KINDS))
    query = draw(st.sampled_from(QUERIES))
    return kind, query, body


def corpus() -> dict[str, tuple[str, bytes]]:
    """Content types and bodies by names: what has brought other services down, or might have."""
    json_type, png_type = "application/json", "image/png"
    one = form([(field("images"), PNG)])
    end = f"--{BOUNDARY}--\r\n".encode()
    return {
        # JSON.
        "empty": (json_type, b""),
        "deep lists": (json_type, b"[" * 1_000_000),
        "deep objects": (json_type, b'{"images":' * 100_000),
        "deep and closed": (json_type, b"[" * 500 + b"]" * 500),
        "escaped quotes": (json_type, b'"' + b'\\"' * 1_000_000),
        "a million wrong": (json_type, b'{"images":[' + b"1," * 1_000_000 + b"1]}"),
        "a million keys": (json_type, b"{" + b'"a":1,' * 1_000_000 + b'"a":1}'),
        "many images": (json_type, b'{"images":[' + b'{"data":"AA=="},' * 5000 + b"{}]}"),
        "NaN": (json_type, as_json(top_k=float("nan"))),
        "infinity": (json_type, as_json(top_k=float("inf"))),
        "huge number": (json_type, as_json(top_k=0).replace(b'k": 0', b'k": ' + b"9" * 100_000)),
        "huge exponent": (json_type, as_json(top_k=0).replace(b'k": 0', b'k": 1e999999')),
        "a number as text": (json_type, as_json(top_k="3")),
        "true as number": (json_type, as_json(top_k=True)),
        "duplicate keys": (json_type, as_json()[:-1] + b',"images":[]}'),
        "surrogates": (json_type, as_json(model="\ud800")),
        "null bytes": (json_type, as_json(model="\0")),
        "utf-16": (json_type, as_json().decode().encode("utf-16")),
        "byte order mark": (json_type, b"\xef\xbb\xbf" + as_json()),
        "bad utf-8": (json_type, b'{"images":[{"data":"\xff\xfe"}]}'),
        "comment": (json_type, b"/* a */" + as_json()),
        "two documents": (json_type, as_json() * 2),
        "a list": (json_type, b"[]"),
        "null": (json_type, b"null"),
        "a prototype": (json_type, as_json(__proto__={"admin": True}, constructor=1)),
        "a URL": (json_type, b'{"images":[{"url":"http://127.0.0.1:9/a.png"}]}'),
        "a URL as data": (json_type, b'{"images":[{"data":"http://127.0.0.1:9/a.png"}]}'),
        "a data URL": (json_type, b'{"images":[{"data":"data:image/png;base64,AAAA"}]}'),
        "a path": (json_type, b'{"images":[{"path":"/etc/passwd"}]}'),
        "base64 of nothing": (json_type, b'{"images":[{"data":""}]}'),
        "bad base64": (json_type, b'{"images":[{"data":"A"}]}'),
        "base64 with holes": (json_type, b'{"images":[{"data":"AA==AA=="}]}'),
        "a model's path": (json_type, as_json(model="../../etc/passwd")),
        # Forms.
        "no boundary": ("multipart/form-data", one),
        "an empty boundary": ("multipart/form-data; boundary=", one),
        "a long boundary": (f"multipart/form-data; boundary={'a' * 71}", one),
        "a wrong boundary": ("multipart/form-data; boundary=other", one),
        "two boundaries": (f"{FORM}; boundary=other", one),
        "no end": (FORM, one[: -len(end)]),
        "only an end": (FORM, end),
        "only a boundary": (FORM, f"--{BOUNDARY}".encode()),
        "bare newlines": (FORM, one.replace(b"\r\n", b"\n")),
        "no headers": (FORM, f"--{BOUNDARY}\r\n\r\n".encode() + PNG + b"\r\n" + end),
        "endless header": (FORM, f"--{BOUNDARY}\r\nX: ".encode() + b"a" * 1_000_000),
        "endless headers": (FORM, f"--{BOUNDARY}\r\n".encode() + b"X: a\r\n" * 100_000),
        "giant name": (FORM, form([(field("a" * 1_000_000), PNG)])),
        "no name": (FORM, form([("Content-Disposition: form-data", PNG)])),
        "an empty name": (FORM, form([(field(""), PNG)])),
        "another disposition": (
            FORM,
            form([('Content-Disposition: attachment; name="images"', PNG)]),
        ),
        "an encoded name": (
            FORM,
            form([("Content-Disposition: form-data; name*=utf-8''images", PNG)]),
        ),
        "null in a name": (FORM, form([(field("images\0"), PNG)])),
        "a path as file name": (FORM, form([(field("images", '; filename="../../a.png"'), PNG)])),
        "a null file name": (FORM, form([(field("images", '; filename="a\0.png"'), PNG)])),
        "a transfer encoding": (
            FORM,
            form([(field("images") + "\r\nContent-Transfer-Encoding: base64", b"AAAA")]),
        ),
        "a part of a form": (
            FORM,
            form(
                [
                    (
                        field("images") + "\r\nContent-Type: multipart/mixed; boundary=b",
                        b"--b\r\n\r\n\r\n--b--",
                    )
                ]
            ),
        ),
        "ten thousand parts": (FORM, form([(field("a"), b"")] * 10_000)),
        "a hundred images": (FORM, form([(field("images"), PNG)] * 100)),
        "fields twice": (FORM, form([(field("images"), PNG), *[(field("top_k"), b"1")] * 2])),
        "an unknown field": (FORM, form([(field("images"), PNG), (field("url"), b"http://a")])),
        "a number of digits": (
            FORM,
            form([(field("images"), PNG), (field("top_k"), b"9" * 100_000)]),
        ),
        "a field of bytes": (FORM, form([(field("images"), PNG), (field("model"), b"\xff\xfe")])),
        "many half boundaries": (FORM, f"\r\n--{BOUNDARY[:-1]}".encode() * 500_000),
        "many boundaries": (FORM, f"--{BOUNDARY}\r\n".encode() * 300_000),
        "a late first part": (FORM, b"\r\n" * 4_000_000 + b"\r\n" + one),
        # Images.
        "text as image": (png_type, b"hello"),
        "svg": (
            png_type,
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///a"/></svg>',
        ),
        "html in a png": (png_type, PNG + b"<script>alert(1)</script>"),
        "zip after png": (png_type, PNG + b"PK\x05\x06" + bytes(18)),
        "png and gif": (png_type, b"GIF89a" + PNG),
        "pdf": (png_type, b"%PDF-1.7\n"),
        "tiff": ("image/tiff", PICTURES["image/tiff"]),
        "jpeg said to be png": (png_type, PICTURES["image/jpeg"]),
        "cut png": (png_type, PNG[:60]),
        "only a signature": (png_type, PNG[:8]),
        "a bomb": (png_type, png(30_000, 30_000, zeros=10_000_000)),
        "a wide bomb": (png_type, png(2**31 - 1, 1)),
        "a long pixel stream": (png_type, png(1, 1, zeros=12_000_000)),
        "no pixels": (png_type, png(28, 28)),
        "no size": (png_type, png(0, 0, zeros=10)),
        "a text bomb": (
            png_type,
            png(1, 1, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)), zeros=2),
        ),
        "a profile bomb": (
            png_type,
            png(1, 1, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000), 9)), zeros=2),
        ),
        "a gif of many frames": ("image/gif", _many_frames(300)),
        "a gif that grows": ("image/gif", _growing_gif()),
        "a webp that claims much": (
            "image/webp",
            b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6,
        ),
        "a large image": (png_type, picture("PNG", "RGB", (1500, 1200))),
        "a heavy image": ("image/bmp", b"BM" + bytes(9 * 2**20)),
    }


def _many_frames(number: int) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("L", (8, 8), shade % 256) for shade in range(number)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def _growing_gif() -> bytes:
    """A small screen with a frame that reaches far beyond it."""
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return head + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x4c\x01\x00;"
