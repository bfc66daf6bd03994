"""The shapes of the API's JSON, for reading what comes in and for describing what goes out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from .settings import MODEL_NAME

MAX_TOP_K = 1000
DEFAULT_TOP_K = 3

# A gray PNG of one pixel: the smallest thing that the examples can send.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
REQUEST_ID = "0b5d4f3e9a1c4c1e8f6d2a7b3c9e5f10"

TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K)]
ModelName = Annotated[str, Field(pattern=rf"^{MODEL_NAME.pattern}$", examples=["cnn"])]
RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{8,64}$", examples=[REQUEST_ID])]
Probability = Annotated[float, Field(ge=0, le=1)]


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [values]})


class EncodedImage(BaseModel):
    """An image in JSON."""

    model_config = _example(data=PIXEL)

    data: str = Field(
        min_length=1,
        description="The bytes of an image file, in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )


class EmbedRequest(BaseModel):
    """Images to embed, in JSON."""

    model_config = _example(images=[{"data": PIXEL}])

    images: list[EncodedImage] = Field(min_length=1)
    model: ModelName | None = Field(None, description="A model; the default if not given.")


class PredictRequest(EmbedRequest):
    """Images to judge, in JSON."""

    model_config = _example(images=[{"data": PIXEL}], top_k=3)

    top_k: TopK | None = Field(
        None, description=f"Classes that are answered of each image; {DEFAULT_TOP_K} if not given."
    )


class FeedbackRequest(BaseModel):
    """The true class of an image that was answered before."""

    model_config = _example(request_id=REQUEST_ID, image_index=0, label="Coat")

    request_id: RequestId
    image_index: int = Field(0, ge=0, lt=2**31, description="The image's place in its request.")
    label: str = Field(min_length=1, max_length=256, description="The name of a class.")


class ModelRef(BaseModel):
    """Which model has answered."""

    name: ModelName
    version: str = Field(description="The beginning of the SHA-256 of the model's file.")


class RankedClass(BaseModel):
    """A class with its calibrated probability."""

    label: str = Field(alias="class")
    probability: Probability


class ProblemDetails(BaseModel):
    """What went wrong, as RFC 9457 shapes it. More members may stand beside these."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(json_schema_extra={"format": "uri-reference"})
    title: str
    status: int = Field(ge=400, le=599)
    detail: str | None = None
    request_id: str | None = None


class Prediction(BaseModel):
    """What is said of one image: classes, or the problem that it has."""

    index: int = Field(ge=0, description="The image's place in the request.")
    classes: list[RankedClass] | None = Field(None, description="The likeliest first.")
    unknown: bool | None = Field(
        None, description="The likeliest class is too unlikely for an answer."
    )
    inverted: bool | None = Field(
        None, description="Light and dark were swapped, for the model knows a dark background."
    )
    problem: ProblemDetails | None = None


class PredictAnswer(BaseModel):
    """What is said of the images of a request."""

    model_config = _example(
        request_id=REQUEST_ID,
        model={"name": "cnn", "version": "3f2a9c0d1b7e"},
        predictions=[
            {
                "index": 0,
                "classes": [
                    {"class": "Coat", "probability": 0.914306},
                    {"class": "Pullover", "probability": 0.071258},
                    {"class": "Shirt", "probability": 0.011403},
                ],
                "unknown": False,
                "inverted": False,
            }
        ],
        logged=True,
    )

    request_id: str
    model: ModelRef
    predictions: list[Prediction]
    logged: bool = Field(description="Every answer stands in the log, safe from a crash.")


class Embedding(BaseModel):
    """What a model's last layer sees of one image, or the problem that the image has."""

    index: int = Field(ge=0)
    embedding: list[float] | None = None
    problem: ProblemDetails | None = None


class EmbedAnswer(BaseModel):
    """The embeddings of the images of a request."""

    model_config = _example(
        request_id=REQUEST_ID,
        model={"name": "cnn", "version": "3f2a9c0d1b7e"},
        embeddings=[{"index": 0, "embedding": [0.12, 0.0, 1.87]}],
    )

    request_id: str
    model: ModelRef
    embeddings: list[Embedding]


class FeedbackAnswer(BaseModel):
    """The feedback stands in the log."""

    model_config = _example(request_id=REQUEST_ID, image_index=0, noted=True)

    request_id: str
    image_index: int
    noted: bool


class ForgetAnswer(BaseModel):
    """What was deleted from the log."""

    model_config = _example(request_id=REQUEST_ID, deleted=1)

    request_id: str
    deleted: int = Field(ge=1, description="Predictions that are gone.")


class ModelInfo(BaseModel):
    """A model that answers."""

    name: ModelName
    default: bool = Field(description="It answers where a request names no model.")
    version: str
    loaded: str = Field(
        description="When this version began to answer.", json_schema_extra={"format": "date-time"}
    )
    classes: list[str]
    image_shape: list[int] = Field(description="Channels, height and width of what it sees.")
    threshold: Probability = Field(description='Below it the answer is "unknown".')
    calibrated: bool
    precision: str
    recipe: str
    embedding_size: int
    refused_file: bool = Field(
        description="The file that now lies at its path cannot be used; the service's log has why."
    )


class ModelsAnswer(BaseModel):
    """The models of the service."""

    models: list[ModelInfo]


class Health(BaseModel):
    """How the service is."""

    model_config = _example(status="alive")

    status: str
