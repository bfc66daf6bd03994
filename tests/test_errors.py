"""Errors are one line: what was wrong, what was got, what is allowed, how to mend it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier import errors
from atelier.errors import AtelierError, did_you_mean


def test_an_error_says_what_was_got_what_is_allowed_and_how_to_mend_it():
    error = AtelierError(
        "unknown device", got="gpu", allowed=["cpu", "cuda"], fix="Use --device cpu"
    )
    assert str(error) == "unknown device; got 'gpu'; allowed: cpu, cuda. Use --device cpu"


def test_what_is_not_known_is_not_said():
    assert str(AtelierError("no weights")) == "no weights"
    assert str(AtelierError("out of range", got=0)) == "out of range; got 0"


WORDS = st.text(alphabet="a.'\n\r\t\x0b\x0c\x1c\x85\u2028\u2029")


@given(WORDS, WORDS)
def test_an_error_is_one_line_whatever_it_quotes(problem, got):
    assert len(str(AtelierError(problem, got=got, fix=problem)).splitlines()) <= 1


@pytest.mark.parametrize(
    "name", ["Config", "Data", "Image", "Run", "Export", "Extra", "Device", "Storage"]
)
def test_every_error_can_be_caught_as_one_and_exits_with_2(name):
    error = getattr(errors, f"{name}Error")("wrong")
    assert isinstance(error, AtelierError)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnt", "Did you mean 'resnet'?"),
        ("CNN", "Did you mean 'cnn'?"),
        ("zzz", "Known: cnn, resnet"),
        ("", "Known: cnn, resnet"),
    ],
)
def test_the_nearest_name_is_offered_or_all_of_them(name, said):
    assert did_you_mean(name, ["resnet", "cnn"]) == said
