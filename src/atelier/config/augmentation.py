"""What is done to training images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Probability, Strict


class AugmentConfig(Strict):
    """Random changes of the training images, drawn anew for every image of every batch."""

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation either way."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift either way, as a share of the side."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of size either way."""
    mirror: Literal["none", "random", "alternating"] = "none"
    """Left-right: never, by a coin, or the half in even epochs that odd epochs left alone."""
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Pixels of background added on each side before a random crop to the old size."""
    erase_probability: Probability = 0.0
    """Share of images in which a rectangle is filled with noise (Random Erasing)."""
    erase_area: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Largest share of the image that Random Erasing fills."""
    cutout: Annotated[int, Field(ge=0, le=512)] = 0
    """Side of a square set to the mean at a random place, in pixels; 0 for none."""
