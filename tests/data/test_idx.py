"""IDX files: whatever the bytes are, an array or one clear line."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from atelier.data.idx import parse_idx, read_idx
from atelier.errors import DataError

image_arrays = arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)))


def to_idx(values):
    return (
        bytes([0, 0, 8, values.ndim])
        + struct.pack(f">{values.ndim}I", *values.shape)
        + values.tobytes()
    )


def parsed_or_message(data, dimensions):
    try:
        return parse_idx(data, dimensions=dimensions)
    except DataError as error:
        return str(error)


@given(image_arrays, st.booleans())
def test_what_was_written_is_read(values, zipped):
    data = to_idx(values)
    found = parse_idx(gzip.compress(data, 1) if zipped else data, dimensions=3)
    assert np.array_equal(found.values, values)
    assert found.sha256 == parse_idx(data, dimensions=3).sha256


@given(image_arrays, st.booleans(), st.data())
def test_any_damage_is_one_line_or_another_array(values, zipped, data):
    original = gzip.compress(to_idx(values), 1) if zipped else to_idx(values)
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    found = parsed_or_message(damaged, 3)
    assert "\n" not in found if isinstance(found, str) else found.values.ndim == 3


@given(st.binary(max_size=64), st.sampled_from([1, 3]))
def test_random_bytes_never_crash(data, dimensions):
    found = parsed_or_message(data, dimensions)
    assert "\n" not in found if isinstance(found, str) else found.values.ndim == dimensions


@given(image_arrays, st.data())
def test_every_cut_is_noticed(values, data):
    whole = to_idx(values)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DataError):
        parse_idx(cut, dimensions=3)
    zipped = gzip.compress(whole, 1)
    with pytest.raises(DataError):
        parse_idx(zipped[: data.draw(st.integers(0, len(zipped) - 1))], dimensions=3)


IMAGES = to_idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


ZIPPED = gzip.compress(IMAGES, mtime=0)
DAMAGE = {
    "empty": (b"", "is empty"),
    "no IDX": (b"PK\x03\x04 a zip file", "wrong magic"),
    "labels": (to_idx(np.zeros(3, np.uint8)), "wrong magic; got '0x00000801'"),
    "floats": (b"\0\0\x0d\x03" + IMAGES[4:], "wrong magic"),
    "half header": (IMAGES[:10], "cut off inside its header"),
    "cut off": (IMAGES[:-1], "promises 2 x 3 x 4 = 24 bytes; got '23 bytes'"),
    "trailing": (IMAGES + b"!", "goes on after the 2 x 3 x 4 = 24 bytes"),
    "absurd sides": (b"\0\0\x08\x03" + b"\xff" * 12, "impossible sizes"),
    "absurd total": (
        b"\0\0\x08\x03" + struct.pack(">3I", 10**7, 4096, 4096),
        "impossible sizes",
    ),
    "no images": (b"\0\0\x08\x03" + struct.pack(">3I", 0, 28, 28), "impossible sizes"),
    "gzip cut off": (ZIPPED[:-9], "corrupt gzip"),
    "gzip checksum": (ZIPPED[:-8] + bytes(8), "corrupt gzip"),
    "gzip trailing": (ZIPPED + b"more", "corrupt gzip"),
    "gzip start only": (b"\x1f\x8b", "corrupt gzip"),
}


@pytest.mark.parametrize(("data", "words"), DAMAGE.values(), ids=DAMAGE)
def test_each_kind_of_damage_is_named(data, words):
    with pytest.raises(DataError) as caught:
        parse_idx(data, dimensions=3, name="train-images")
    assert words in str(caught.value)
    assert str(caught.value).startswith("train-images")


def test_a_false_header_does_not_fill_the_memory():
    promise = b"\0\0\x08\x03" + struct.pack(">3I", 4_000_000, 32, 32)
    with pytest.raises(DataError, match="cut off"):
        parse_idx(gzip.compress(promise), dimensions=3)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        read_idx(tmp_path / "none", dimensions=3)
    with pytest.raises(DataError, match="Is a directory"):
        read_idx(tmp_path, dimensions=3)
