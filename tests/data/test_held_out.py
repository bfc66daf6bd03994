"""Classes by name or number."""

import pytest

from atelier.data.held_out import class_numbers
from atelier.errors import ConfigError

CLASSES = ("Coat", "7", "Bag", "Shirt")


@pytest.mark.parametrize(
    ("named", "numbers"),
    [
        ((), []),
        (("Shirt", "Coat"), [0, 3]),
        ((2, "0"), [0, 2]),
        (("7",), [1]),  # its name, though there is no eighth class
    ],
)
def test_names_and_numbers_are_positions(named, numbers):
    assert class_numbers(named, CLASSES).tolist() == numbers


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("Shrit",), "Did you mean 'Shirt'"),
        ((4,), "no class of this number; got 4; allowed: 0 to 3"),
        ((-1,), "no class of this number"),
        (("Bag", 2), "a class is named twice; got 'Bag'"),
    ],
)
def test_what_is_no_class_is_refused(named, said):
    with pytest.raises(ConfigError, match=said):
        class_numbers(named, CLASSES)
