"""What one client may ask of the service: sizes, numbers, times and rates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..config.strict import Strict

ImageFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]

# `data.images` decodes up to 50 megapixels and 32 MiB for its owner; strangers get less than that.
_CEILING_PIXELS = 50_000_000
_CEILING_IMAGE_BYTES = 32 * 2**20

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Limits(Strict):
    """The limits of a service; each is checked before the work that it spares is done.

    Attributes:
        max_body_bytes: of one request's body, announced or counted as it arrives (413).
        max_held_bytes: of all bodies that are being held at once, over all clients (503).
        max_images: in one request (413).
        max_image_bytes: of one image file, as it was sent (413).
        max_pixels: of one image, by its header, before anything is decoded (413).
        max_parts: of a multipart body, files and fields together (413).
        formats: of images, told by their first bytes and never by their name (415).
        max_header_bytes: of a request's line and headers together (431).
        max_headers: their number (431).
        header_timeout_s: from a connection's opening, or a request's first byte, to the last byte
            of its headers (408).
        read_timeout_s: between two pieces of a body (408); and for a client to read an answer.
        request_timeout_s: from a request's headers to the end of its answer (408 while the body
            has not arrived, 503 after that).
        idle_timeout_s: of a kept connection between two requests.
        max_connections: open at once in one worker. Above it the one is closed that has waited
            longest without a whole request; where all are at work, the new one is (503).
        max_requests: being answered at once in one worker (503). For a second after a refusal it is
            a quarter, but at least 64: a queue that stays full only lets everybody wait.
        rate_per_s: requests a second for each key, or each address where there are no keys (429).
            None is 50 with keys and no limit without; 0 is no limit.
        burst: requests that may come at once after a pause. None is twice the rate.
    """

    max_body_bytes: int = Field(16 * 2**20, ge=1024)
    max_held_bytes: int = Field(256 * 2**20, ge=1024)
    max_images: int = Field(64, ge=1, le=4096)
    max_image_bytes: int = Field(8 * 2**20, ge=64, le=_CEILING_IMAGE_BYTES)
    max_pixels: int = Field(25_000_000, ge=1, le=_CEILING_PIXELS)
    max_parts: int = Field(80, ge=1, le=10_000)
    formats: tuple[ImageFormat, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
    max_header_bytes: int = Field(32 * 2**10, ge=1024, le=2**20)
    max_headers: int = Field(100, ge=8, le=1000)
    header_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 10.0
    request_timeout_s: Seconds = 60.0
    idle_timeout_s: Seconds = 15.0
    max_connections: int = Field(512, ge=1, le=65_536)
    max_requests: int = Field(256, ge=1, le=65_536)
    rate_per_s: float | None = Field(None, ge=0, le=1e6)
    burst: int | None = Field(None, ge=1, le=10**6)

    @model_validator(mode="after")
    def _fit_together(self) -> Limits:
        if self.max_held_bytes < self.max_body_bytes:
            raise ValueError("max_held_bytes must hold at least one body of max_body_bytes")
        if not self.formats:
            raise ValueError("formats must name at least one format")
        return self

    def rate(self, *, keys: bool) -> tuple[float, int] | None:
        """Requests a second and the burst for each client, or None where there is no limit."""
        per_s = self.rate_per_s if self.rate_per_s is not None else (50.0 if keys else 0.0)
        if per_s == 0:
            return None
        return per_s, self.burst if self.burst is not None else max(1, round(2 * per_s))
