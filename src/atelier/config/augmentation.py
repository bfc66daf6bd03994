"""What is done to training images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import Probability, Strict


class AugmentConfig(Strict):
    """Random changes of the training images, drawn anew for every image of every batch.

    On images of one channel, saturation, hue, tint and grayscale do nothing, so that a recipe for
    photos takes grey ones too.
    """

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Largest rotation either way."""
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift either way, as a share of the side."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of size either way."""
    resized_crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest share of the area that a crop keeps, before it is brought to the full size (random
    resized crop); 1 for none. It lies within the image."""
    aspect: Annotated[float, Field(ge=0, le=4)] = 0.0
    """Largest relative change of that crop's width over its height, either way."""
    perspective: Annotated[float, Field(ge=0, le=0.45)] = 0.0
    """Largest tilt of the camera, as by how much one edge is enlarged; the opposite one shrinks."""
    edge: Literal["background", "reflect"] = "background"
    """What comes in from outside the image: its background, or its mirror image, which photos with
    a scene behind the product need."""
    mirror: Literal["none", "random", "alternating"] = "none"
    """Left-right: never, by a coin, or the half in even epochs that odd epochs left alone."""
    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Pixels added on each side, of what `edge` says, before a random crop to the old size."""
    brightness: Probability = 0.0
    """Largest relative change of brightness either way."""
    contrast: Probability = 0.0
    """Largest relative change either way of the distance from the image's mean grey."""
    saturation: Probability = 0.0
    """Largest relative change either way of the distance from grey."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest turn of the hue either way; 1 is once around the color circle."""
    tint: Probability = 0.0
    """Largest relative change of each channel for itself, as under light of another color."""
    grayscale: Probability = 0.0
    """Share of images that lose their color."""
    light: Probability = 0.0
    """Largest rise of brightness towards one side and fall towards the other, as in uneven light;
    relative to the middle, at the edges."""
    policy: Literal["none", "randaugment", "trivialaugment", "augmix"] = "none"
    """Operations drawn by lot for each image, beside all else: RandAugment, TrivialAugment, or
    AugMix, which mixes the image with three chains of them."""
    policy_operations: Annotated[int, Field(ge=1, le=8)] = 2
    """Operations that RandAugment draws for each image."""
    policy_strength: Probability = 0.3
    """How strong RandAugment's operations are, as a share of the strongest; of AugMix's, the most
    that is drawn."""
    erase_probability: Probability = 0.0
    """Share of images in which a rectangle is filled with noise (Random Erasing)."""
    erase_area: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Largest share of the image that Random Erasing fills."""
    cutout: Annotated[int, Field(ge=0, le=512)] = 0
    """Side of a square set to the mean at a random place, in pixels; 0 for none."""
    mixup: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Alpha of the Beta distribution of MixUp's shares; 0 for none. Of MixUp, CutMix and
    FMix each image draws one that is on."""
    cutmix: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Alpha of the Beta distribution of CutMix's shares; 0 for none."""
    fmix: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Alpha of the Beta distribution of FMix's shares; 0 for none. Its masks are blobs."""
    mix_probability: Probability = 1.0
    """Share of images that are mixed."""
    mix_until: Probability = 1.0
    """Share of the training after which nothing is mixed any more."""

    @property
    def mixes(self) -> bool:
        """Whether images are made of two."""
        return bool(self.mixup or self.cutmix or self.fmix)
