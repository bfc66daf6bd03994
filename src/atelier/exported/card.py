"""What travels with an exported model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT_VERSION: Literal[1] = 1

Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=16384)]
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ExportCard(BaseModel):
    """What an exported model needs to know of itself, as JSON inside its file.

    Attributes:
        name: of the run.
        recipe: that the run was trained by.
        classes: names, in the order of the logits.
        image_shape: channels, height, width of the uint8 images that go in.
        mean: of each channel over the training part, as a share of 255. It is in the graph already.
        std: likewise.
        background: median byte at the edges of the training images.
        temperature: what the graph divides logits by before the softmax; 1 where not `calibrated`.
        calibrated: whether the temperature was fitted on images that were held out.
        threshold: a likeliest class that is less probable is "unknown"; 0 answers always.
        max_error: the share of wrong answers that the threshold was chosen for; None where it was
            set by hand or is 0.
        rule: what is promised of the threshold, as a sentence; empty where nothing is.
        views: of each image, mirrored and shifted, whose mean the answer is; each costs the same.
        embedding_size: D, the numbers that enter the network's last layer.
        precision: of the arithmetic.
        left_in_float: layers that an int8 export computes in float32, for they lose too much.
        weights_sha256: of the run's weights, in hexadecimal.
        data_fingerprint: of the data that the run was trained on.
        atelier_version: that made the export.
        created: when, in UTC, as ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    format_version: Literal[1] = FORMAT_VERSION
    name: str
    recipe: str
    classes: tuple[str, ...] = Field(min_length=1)
    image_shape: tuple[Literal[1, 3], Side, Side]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: Annotated[int, Field(ge=0, le=255)]
    temperature: Annotated[float, Field(gt=0)] = 1.0
    calibrated: bool = False
    threshold: Share = 0.0
    max_error: Share | None = None
    rule: str = ""
    views: Annotated[int, Field(ge=1, le=64)] = 1
    embedding_size: Side
    precision: Literal["float32", "int8"] = "float32"
    left_in_float: tuple[str, ...] = ()
    weights_sha256: Digest
    data_fingerprint: str
    atelier_version: str
    created: str

    @model_validator(mode="after")
    def _channels_agree(self) -> Self:
        if not len(self.mean) == len(self.std) == self.image_shape[0]:
            raise ValueError("mean and std are not one number for each channel")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have one name")
        return self
