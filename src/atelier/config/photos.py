"""How photos are read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Strict

ColumnName = Annotated[str, Field(min_length=1)]


class Columns(Strict):
    """What the columns of a table are called; a table need not have the last three."""

    image: ColumnName = "image"
    """Paths, relative to the table."""
    label: ColumnName = "label"
    """Class names."""
    split: ColumnName = "split"
    """train, validation or test; without it, atelier cuts."""
    group: ColumnName = "group"
    """What must stay on one side of a split: photos of one product, say."""
    weight: ColumnName = "weight"
    """What an image counts in the loss, 0 or more."""


class PhotosConfig(Strict):
    """How a folder or a table of photos becomes images of one size. Data sets that are arrays
    already, as Fashion-MNIST, have nothing of it."""

    image_size: Annotated[int, Field(ge=8, le=1024)] = 96
    """Side in pixels of the square into which every photo is fitted whole."""
    channels: Literal[1, 3] = 3
    """1 for gray, 3 for colors."""
    skip_bad: bool = False
    """Leave out files that cannot be read, instead of stopping with a list of them."""
    keep_duplicates: bool = False
    """Leave in training the photos that stand in the validation or test part too."""
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share that is kept for the test where the data has no split of its own."""
    columns: Columns = Columns()
