"""What an image claims to be is found out before anything is decoded."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from atelier.serving.limits import Limits
from atelier.serving.problems import Problem
from atelier.serving.uploads import check_image, format_of

SIZE = (31, 17)
LIMITS = Limits()


def encoded(image_format: str, size: tuple[int, int] = SIZE, mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(file, image_format, **options)
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 50}),
        ("WEBP", {"mode": "RGBA", "quality": 50}),
        ("WEBP", {"mode": "RGBA", "lossless": True, "exact": True}),
    ],
)
def test_allowed_formats_are_told_by_their_content(image_format, options):
    data = encoded(image_format, **options)
    assert check_image(data, LIMITS) == image_format
    few = Limits(max_pixels=SIZE[0] * SIZE[1])
    assert check_image(data, few) == image_format
    with pytest.raises(Problem) as caught:
        check_image(data, Limits(max_pixels=SIZE[0] * SIZE[1] - 1))
    assert caught.value.status == 413


@pytest.mark.parametrize("image_format", ["TIFF", "PPM", "ICO", "TGA", "PDF", "EPS", "PCX", "SGI"])
def test_other_formats_are_refused(image_format):
    with pytest.raises(Problem) as caught:
        check_image(encoded(image_format), LIMITS)
    assert caught.value.status == 415
    assert "JPEG, PNG, WebP, GIF, BMP" in caught.value.detail


@pytest.mark.parametrize(
    "data",
    [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"PK\x03\x04", b"\0" * 100, b"x"],
)
def test_what_is_no_image_is_refused(data):
    with pytest.raises(Problem) as caught:
        check_image(data, LIMITS)
    assert caught.value.status == 415


def test_a_service_may_allow_more_or_fewer_formats():
    assert check_image(encoded("TIFF"), Limits(formats=("TIFF",))) == "TIFF"
    with pytest.raises(Problem, match="images may be TIFF"):
        check_image(encoded("PNG"), Limits(formats=("TIFF",)))


def test_an_empty_and_a_heavy_image_are_refused():
    with pytest.raises(Problem) as empty:
        check_image(b"", LIMITS)
    with pytest.raises(Problem) as heavy:
        check_image(encoded("BMP"), Limits(max_image_bytes=100))
    assert (empty.value.status, heavy.value.status) == (422, 413)


@pytest.mark.parametrize(
    "size", [(100_000, 100_000), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1), (5001, 5000)]
)
def test_a_bomb_is_refused_without_its_pixels(size):
    bomb = png_that_claims(*size)
    assert len(bomb) < 2000
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as caught:
            check_image(bomb, LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413


def test_a_webp_that_claims_much_is_refused_unopened():
    head = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
    with pytest.raises(Problem) as caught:
        check_image(head + b"\xff" * 6, LIMITS)
    assert caught.value.status == 413


def test_a_gif_and_a_bmp_that_claim_much_are_refused():
    gif = b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(3)
    bmp = bytearray(encoded("BMP"))
    bmp[18:26] = struct.pack("<ii", 60_000, 60_000)
    for data in (gif + b",\0\0\0\0\xff\xff\xff\xff\0\2", bytes(bmp)):
        with pytest.raises(Problem) as caught:
            check_image(data, LIMITS)
        assert caught.value.status == 413


WHOLE = [encoded(name) for name in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")]


@given(st.data())
def test_mangled_headers_are_a_problem_or_an_image(data):
    whole = bytearray(data.draw(st.sampled_from(WHOLE)))
    for _ in range(data.draw(st.integers(0, 6))):
        whole[data.draw(st.integers(0, min(120, len(whole) - 1)))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        assert check_image(cut, Limits(formats=("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")))
    except Problem as problem:
        assert problem.status in (413, 415, 422)


@given(st.binary(max_size=200))
def test_any_bytes_have_a_format_or_none(data):
    format_of(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_pixels": 50_000_001},
        {"max_image_bytes": 33 * 2**20},
        {"max_body_bytes": 2**21, "max_held_bytes": 2**20},
        {"formats": ()},
        {"formats": ("PSD",)},
        {"read_timeout_s": 0.0},
        {"request_timeout_s": float("inf")},
        {"max_images": 0},
        {"rate_per_s": -1.0},
        {"unknown": 1},
    ],
)
def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(ValidationError):
        Limits(**wrong)
