"""Forms as browsers, curl and Python's libraries send them, and as nobody should."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.serving.bodies import parse_form
from atelier.serving.problems import Problem

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
_PART = b'\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n'


def form(*parts: bytes, boundary: bytes = BOUNDARY) -> bytes:
    """A form of parts that each begin with the line break after their boundary."""
    return b"".join(b"--" + boundary + part + b"\r\n" for part in parts) + b"--%b--\r\n" % boundary


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20),
            st.binary(max_size=200) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n\r\n"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_form_that_httpx_makes_is_read_bit_for_bit(parts: list[tuple[str, bytes]]) -> None:
    files = [(name, ("file.png", data, "image/png")) for name, data in parts]
    request = httpx.Request("POST", "http://here/", files=files)
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    assert parse_form(request.read(), boundary, 8) == parts


def test_what_stands_around_a_form_and_case_and_blanks_do_not_matter() -> None:
    body = (
        b"a preamble\r\n--" + BOUNDARY + b"  \r\ncontent-disposition:form-data;name=images\r\n"
        b"X-More: 1\r\n\r\nDATA\r\n--" + BOUNDARY + b"--\r\nan epilogue"
    )
    assert parse_form(body, BOUNDARY, 5) == [("images", b"DATA")]


def test_a_file_name_that_speaks_of_a_name_is_no_name() -> None:
    part = b'\r\nContent-Disposition: form-data; filename="; name=x"; name="images"\r\n\r\nDATA'
    assert parse_form(form(part), BOUNDARY, 5) == [("images", b"DATA")]


def test_a_form_without_parts_has_none() -> None:
    assert parse_form(b"--" + BOUNDARY + b"--\r\n", BOUNDARY, 5) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"--another\r\n",
        b"--" + BOUNDARY,
        b"--" + BOUNDARY + b"\r\n",
        b"--" + BOUNDARY + _PART,
        b"--" + BOUNDARY + _PART + b"\r\nDATA",
        b"--" + BOUNDARY + _PART + b"\r\nDATA\r\n--" + BOUNDARY,
        form(_PART + b"\r\nDATA")[:-6],
        form(b"\r\n\r\nDATA"),
        form(b"\r\nContent-Type: image/png\r\n\r\nDATA"),
        form(b"\r\nContent-Disposition: form-data\r\n\r\nDATA"),
        form(b'\r\nContent-Disposition: attachment; name="images"\r\n\r\nDATA'),
        form(b"xx" + _PART + b"\r\nDATA"),
        form(_PART + b"X: " + b"x" * 5000 + b"\r\n\r\nDATA"),
    ],
)
def test_a_malformed_form_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as met:
        parse_form(body, BOUNDARY, 5)
    assert met.value.kind == "malformed-body"


def test_a_form_of_too_many_parts_is_refused() -> None:
    body = form(*[_PART + b"\r\nDATA"] * 6)
    with pytest.raises(Problem) as met:
        parse_form(body, BOUNDARY, 5)
    assert met.value.status == 413
