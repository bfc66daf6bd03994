"""Errors of the service as problem details (RFC 9457): one shape for every error it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_json

MEDIA_TYPE = "application/problem+json"
_TYPES = "urn:atelier:problem:"

# status and title of each kind; the kind is the end of the `type`, which clients may rely on.
KINDS: dict[str, tuple[int, str]] = {
    "malformed-body": (400, "The body cannot be read"),
    "malformed-request": (400, "The request cannot be read"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "This is not allowed"),
    "not-found": (404, "There is nothing at this address"),
    "unknown-model": (404, "No model has this name"),
    "unknown-prediction": (404, "No prediction has this request id"),
    "method-not-allowed": (405, "This address does not take this method"),
    "read-timeout": (408, "The body came too slowly"),
    "body-too-large": (413, "The body is too large"),
    "image-too-large": (413, "The image is too large"),
    "unsupported-media-type": (415, "Bodies of this type are not taken"),
    "misdirected-request": (421, "The service does not go by this name"),
    "invalid-request": (422, "The request is not what this address takes"),
    "unreadable-image": (422, "The image cannot be read"),
    "rate-limited": (429, "Too many requests"),
    "headers-too-large": (431, "The headers are too large"),
    "internal": (500, "Something went wrong in the service"),
    "busy": (503, "The service is busy"),
    "too-late": (503, "The service was too busy to answer in time"),
    "stopping": (503, "The service is stopping"),
    "not-ready": (503, "The service is not ready"),
}


class Problem(Exception):  # noqa: N818 - the RFC's word
    """An error that is answered to the client.

    Args:
        kind: one of `KINDS`, which gives status, type and title.
        detail: what was wrong this time, as a sentence for the client: nothing of the inside.
        headers: of the answer, as `Retry-After`.
        extensions: more members of the JSON object, as `errors`.
    """

    def __init__(
        self,
        kind: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.type = _TYPES + kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extensions = extensions
        super().__init__(detail or self.title)

    def content(self) -> dict[str, Any]:
        """The members of the JSON object; those that say nothing are left out."""
        content: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail is not None:
            content["detail"] = self.detail
        return content | self.extensions


def problem_body(problem: Problem, request_id: str | None = None) -> bytes:
    """The JSON of a problem; `request_id` is what a client can quote when it asks what happened."""
    content = problem.content()
    if request_id is not None:
        content["request_id"] = request_id
    return to_json(content)


async def send_problem(
    send: Callable[[dict[str, Any]], Awaitable[None]],
    problem: Problem,
    *,
    request_id: str | None = None,
) -> None:
    """Answer a problem through ASGI's `send`, for what stands in front of the application."""
    body = problem_body(problem, request_id)
    headers = {
        "content-type": MEDIA_TYPE,
        "content-length": str(len(body)),
        **{name.lower(): value for name, value in problem.headers.items()},
    }
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
