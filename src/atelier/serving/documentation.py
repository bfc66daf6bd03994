"""The API's description (OpenAPI 3.1): what the code cannot say by itself."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ..version import __version__
from .bodies import IMAGE_TYPES
from .limits import Limits
from .problems import KINDS, MEDIA_TYPE, Problem
from .schemas import (
    DEFAULT_TOP_K,
    MAX_TOP_K,
    EmbedRequest,
    FeedbackRequest,
    PredictRequest,
    ProblemDetails,
)
from .settings import MODEL_NAME

_REF = "#/components/schemas/{model}"
_FROM_THE_GUARD = (400, 401, 403, 408, 413, 415, 421, 429, 431, 500, 503)
_HEADERS = {
    405: {"Allow": "The methods that are taken."},
    415: {"Accept-Post": "The types that are taken."},
    429: {"Retry-After": "Seconds after which to ask again."},
    503: {"Retry-After": "Seconds after which to ask again."},
}
_ABOUT = """\
Send images, get classes with calibrated probabilities, or "unknown".

Every error is a problem as RFC 9457 shapes it; the end of its `type` says which:

{kinds}

An answer's `X-Request-ID` is its `request_id`; a request may bring its own in that header.
"""


def answers(model: type[BaseModel], description: str = "Answered.") -> dict[int | str, Any]:
    """The answer of an address where all goes well."""
    return {200: {"model": model, "description": description}}


def problems(*statuses: int) -> dict[int | str, Any]:
    """The problems that an address may answer, besides those of the guard."""
    return {status: _problem(status) for status in sorted({*statuses, *_FROM_THE_GUARD})}


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind, (code, _) in KINDS.items() if code == status]
    described: dict[str, Any] = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(kinds)}.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": _REF.format(model=ProblemDetails.__name__)},
                "examples": {kind: {"value": Problem(kind).content()} for kind in kinds},
            }
        },
    }
    if status in _HEADERS:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS[status].items()
        }
    return described


def asks_for_images(limits: Limits, shape: type[EmbedRequest] = PredictRequest) -> dict[str, Any]:
    """Parameters and bodies of an address that takes images."""
    fields: dict[str, Any] = {
        "model": {"type": "string", "pattern": f"^{MODEL_NAME.pattern}$"},
        "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": DEFAULT_TOP_K},
    }
    fields = {name: field for name, field in fields.items() if name in shape.model_fields}
    files = {
        "type": "array",
        "minItems": 1,
        "maxItems": limits.max_images,
        "items": {"type": "string", "format": "binary"},
    }
    form = {
        "type": "object",
        "required": ["images"],
        "additionalProperties": False,
        "properties": {"images": files, **fields},
    }
    file = {"schema": {"type": "string", "format": "binary"}}
    return {
        "parameters": [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": field,
                "description": "Where the body does not say it.",
            }
            for name, field in fields.items()
        ],
        "requestBody": {
            "required": True,
            "description": f"At most {limits.max_images} images and {limits.max_body_bytes:,} "
            f"bytes; an image may have {limits.max_image_bytes:,} bytes and "
            f"{limits.max_pixels:,} pixels, and be {', '.join(limits.formats)}.",
            "content": {
                "multipart/form-data": {"schema": form},
                "application/json": {"schema": {"$ref": _REF.format(model=shape.__name__)}},
                **dict.fromkeys(IMAGE_TYPES, file),
            },
        },
    }


def asks_for_json(shape: type[BaseModel]) -> dict[str, Any]:
    """The body of an address that takes JSON alone."""
    schema = {"$ref": _REF.format(model=shape.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def describe(app: FastAPI, *, keys: bool, open_metrics: bool = False) -> None:
    """Let `app` answer with a whole description.

    Args:
        app: whose routes are all there, for the description is made once.
        keys: whether requests need a key.
        open_metrics: whether those to /metrics never do.
    """
    keyless = ("healthz", "readyz", *(["metrics"] if open_metrics else []))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app, keys=keys, keyless=keyless)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # as FastAPI's manual has it


def _description(app: FastAPI, *, keys: bool, keyless: Sequence[str]) -> dict[str, Any]:
    kinds = "\n".join(f"- `{kind}` ({status}): {title}" for kind, (status, title) in KINDS.items())
    described = get_openapi(
        title="atelier",
        version=__version__,
        summary="Classifiers of images, served.",
        description=_ABOUT.format(kinds=kinds),
        routes=app.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
        tags=[
            {"name": "predictions", "description": "Images in, answers out."},
            {"name": "log", "description": "What was answered before."},
            {"name": "service", "description": "What serves, and how it is."},
        ],
    )
    # The bodies are read by hand, so FastAPI does not know them.
    shapes = (PredictRequest, EmbedRequest, FeedbackRequest, ProblemDetails)
    _, schemas = models_json_schema([(shape, "validation") for shape in shapes], ref_template=_REF)
    components = described.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas["$defs"])
    if keys:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "basic": {
                "type": "http",
                "scheme": "basic",
                "description": "For browsers: any name, and the key as the password.",
            },
        }
        described["security"] = [{scheme: []} for scheme in components["securitySchemes"]]
    for path in described["paths"].values():
        for operation in path.values():
            # Of a path's parameter FastAPI describes a 422 of its own shape.
            operation["responses"].pop("default", None)
            if keys and operation["operationId"] in keyless:
                operation["security"] = []
            if not keys:
                operation["responses"].pop("401", None)
    return described
