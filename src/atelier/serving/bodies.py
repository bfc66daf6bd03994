"""What clients send to be judged: one image as it is, a form of files, or JSON.

Everything is read in memory, within the guard's limits; nothing is put on the disk. The form's
parser is ours, for it splits a whole body by its boundary at the speed of `bytes.find`.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from .limits import Limits
from .problems import Problem
from .schemas import EmbedRequest, ModelName, PredictRequest, TopK

IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp", "image/tiff")
BODY_TYPES = ("multipart/form-data", "application/json", *IMAGE_TYPES)

_MAX_ERRORS = 5
_MAX_DIGITS = 9
_MAX_PART_HEADER_BYTES = 2048
_SPARE_MEMBERS = 1000  # of JSON, besides those that its images need
_BOUNDARY = re.compile(
    r"""boundary=(?:"([0-9A-Za-z'()+_,\-./:=? ]{1,70})"|([0-9A-Za-z'+_\-.]{1,70}))"""
)
_PARAMETER = re.compile(
    rb';[ \t]*([A-Za-z0-9*_-]+)=(?:"((?:[^"\\\r\n]|\\.)*)"|([^\s";]+))', re.IGNORECASE
)
_TOP_K: TypeAdapter[int] = TypeAdapter(TopK)
_MODEL: TypeAdapter[str] = TypeAdapter(ModelName)

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class Asked:
    """What a client wants to know.

    Attributes:
        images: the bytes of image files.
        top_k: how many classes of each; None is the default.
        model: a name; None is the default.
    """

    images: list[bytes] = field(default_factory=list)
    top_k: int | None = None
    model: str | None = None

    def set_field(self, name: str, text: str, place: str, *, fields: Collection[str]) -> None:
        """Take a field that is given as text.

        Raises:
            Problem: there is no such field, its value is out of range, or it was given before.
        """
        if name not in fields or name == "images":
            raise invalid("there is no such field", place, name[:64])
        if getattr(self, name) is not None:
            raise invalid("this is given twice", place, name)
        try:
            if name == "top_k":
                plain = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
                self.top_k = _TOP_K.validate_python(int(text) if plain else None)
            else:
                self.model = _MODEL.validate_python(text)
        except ValidationError as error:
            raise invalid(error.errors()[0]["msg"], place, name) from error


def invalid(what: str, *place: str | int) -> Problem:
    """A request that is not what an address takes: why, and at which place in it."""
    return Problem("invalid-request", errors=[{"where": place, "what": what}])


async def read_asked(
    request: Request, limits: Limits, shape: type[EmbedRequest] = PredictRequest
) -> Asked:
    """What a request asks for.

    Args:
        request: whose body has not been read.
        limits: on its images.
        shape: of JSON; forms and queries may have the same fields.

    Raises:
        Problem: a body of another type, malformed, with unknown fields, or with too many images.
    """
    kind, parameters = _type_of(request, BODY_TYPES)
    asked = Asked()
    query = request.scope["query_string"]
    if query:
        _read_query(asked, query, shape)
    body = await _whole(request)
    if kind == "application/json":
        _read_json(asked, body, limits, shape)
    elif kind == "multipart/form-data":
        _read_form(asked, body, parameters, limits, shape)
    else:
        asked.images.append(body)
    if not asked.images:
        raise invalid("there must be at least one image", "body", "images")
    if len(asked.images) > limits.max_images:
        raise _too_many(limits)
    return asked


async def read_json(request: Request, model: type[Model], limits: Limits) -> Model:
    """The JSON of a request.

    Raises:
        Problem: a body of another type, malformed, or not of the shape of `model`.
    """
    _type_of(request, ("application/json",))
    if request.scope["query_string"]:
        raise invalid("there are no parameters here", "query")
    body = await _whole(request)
    _refuse_many_members(body, limits)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _problem_of_json(error) from error


def problem_of(errors: Sequence[Any], *place: str) -> Problem:
    """What pydantic finds wrong, without the values: they may be long, or secret."""
    told = [{"where": [*place, *each["loc"]], "what": each["msg"]} for each in errors]
    problem = Problem("invalid-request", errors=told[:_MAX_ERRORS])
    if len(told) > _MAX_ERRORS:
        problem.extensions["more_errors"] = len(told) - _MAX_ERRORS
    return problem


def _type_of(request: Request, allowed: Sequence[str]) -> tuple[str, str]:
    """A body's type, and the parameters of that."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in allowed:
        types = ", ".join(allowed)
        detail = f"bodies here may be {types}"
        raise Problem("unsupported-media-type", detail, headers={"Accept-Post": types})
    return kind, parameters


async def _whole(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        raise Problem("malformed-body", "the body was cut off") from None


def _refuse_many_members(body: bytes, limits: Limits) -> None:
    """Raise a `Problem` at JSON of far more members than any good one has.

    For each one that is wrong pydantic makes an error: a body of two megabytes keeps it busy for
    seconds, and takes a gigabyte.
    """
    members = body.count(b",") + body.count(b"{") + body.count(b"[")
    if members > 4 * limits.max_images + _SPARE_MEMBERS:
        raise Problem(
            "body-too-large", f"JSON has too many members, for {limits.max_images} images"
        )


def _problem_of_json(error: ValidationError) -> Problem:
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    if errors[0]["type"] == "json_invalid":
        return Problem("malformed-body", "this is not JSON")
    return problem_of(errors, "body")


def _read_query(asked: Asked, query: bytes, shape: type[EmbedRequest]) -> None:
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=8,
        )
    except ValueError as error:  # of which UnicodeDecodeError is one
        raise Problem("malformed-request", "the query cannot be read") from error
    for name, value in pairs:
        asked.set_field(name, value, "query", fields=shape.model_fields)


def _read_json(asked: Asked, body: bytes, limits: Limits, shape: type[EmbedRequest]) -> None:
    _refuse_many_members(body, limits)
    try:
        wanted = shape.model_validate_json(body)
    except ValidationError as error:
        raise _problem_of_json(error) from error
    for name in ("top_k", "model"):
        value = getattr(wanted, name, None)
        if value is not None:
            if getattr(asked, name) is not None:
                raise invalid("this is given twice", "body", name)
            setattr(asked, name, value)
    if len(wanted.images) > limits.max_images:
        raise _too_many(limits)
    for index, image in enumerate(wanted.images):
        try:
            asked.images.append(binascii.a2b_base64(image.data, strict_mode=True))
        except ValueError as error:  # of which binascii.Error is one
            raise invalid("this is not base64", "body", "images", index, "data") from error


def _read_form(
    asked: Asked, body: bytes, parameters: str, limits: Limits, shape: type[EmbedRequest]
) -> None:
    found = _BOUNDARY.search(parameters)
    if found is None:
        raise Problem("malformed-body", "the form's type names no boundary")
    boundary = (found[1] or found[2]).encode()
    for name, data in parse_form(body, boundary, limits.max_parts):
        if name == "images":
            if len(asked.images) >= limits.max_images:
                raise _too_many(limits)
            asked.images.append(data)
        else:
            try:
                asked.set_field(name, data.decode("utf-8"), "body", fields=shape.model_fields)
            except UnicodeDecodeError as error:
                raise invalid("this is not text", "body", name) from error


def parse_form(body: bytes, boundary: bytes, max_parts: int) -> list[tuple[str, bytes]]:
    """Names and contents of the parts of a multipart/form-data body (RFC 7578).

    Raises:
        Problem: malformed, or more parts than `max_parts`.
    """
    delimiter = b"\r\n--" + boundary
    if body.startswith(delimiter[2:]):
        at = len(delimiter) - 2
    else:  # something stands before the first part; nobody reads it
        at = body.find(delimiter)
        if at < 0:
            raise Problem("malformed-body", "the form's boundary is not in it")
        at += len(delimiter)
    parts: list[tuple[str, bytes]] = []
    while not body.startswith(b"--", at):
        if len(parts) >= max_parts:
            raise Problem("body-too-large", f"a form may have {max_parts} parts")
        line_end = body.find(b"\r\n", at)
        head_end = body.find(b"\r\n\r\n", line_end, at + _MAX_PART_HEADER_BYTES)
        if line_end < 0 or head_end < 0 or body[at:line_end].strip(b" \t"):
            raise Problem("malformed-body", "a part of the form has no headers, or too long ones")
        end = body.find(delimiter, head_end + 2)
        if end < 0:
            raise Problem("malformed-body", "the form is cut off")
        parts.append((_name_of(body[line_end + 2 : head_end]), body[head_end + 4 : end]))
        at = end + len(delimiter)
    return parts


def _name_of(head: bytes) -> str:
    """The name of a part, in the header that must have it."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            if not value.strip().lower().startswith(b"form-data"):
                break
            for key, quoted, plain in _PARAMETER.findall(value):
                if key.lower() == b"name":
                    return str(quoted or plain, "utf-8", "replace")
    raise Problem("malformed-body", "a part of the form has no name")


def _too_many(limits: Limits) -> Problem:
    return Problem("body-too-large", f"a request may have {limits.max_images} images")
