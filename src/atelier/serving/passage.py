"""Which paths of a request are let through, and what every answer says to browsers.

The page is gradio's, which brings far more routes than the page needs: some fetch a URL or read a
file for whoever asks. Only those of its own scripts and styles are let through.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_PLAIN = re.compile(rb"(/[A-Za-z0-9_-]+)+")
_HARMLESS_CHARACTERS = frozenset(range(0x21, 0x7F)) - frozenset(b'\\"<>^`{|}')
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_SERVICE = re.compile(
    r"/(healthz|readyz|metrics|openapi\.json|v1(/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)+)"
)
_PAGE = re.compile(
    r"/|/(theme\.css|favicon\.ico|manifest\.json)|/assets/[A-Za-z0-9._-]+|/static/js/[A-Za-z0-9._-]+"
)

_COMMON = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
API_HEADERS = {
    **_COMMON,
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
# gradio's page has scripts and styles within its HTML, and no nonce for them. Nothing comes from,
# and nothing goes to, anywhere else.
PAGE_HEADERS = {
    **_COMMON,
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), geolocation=(), microphone=()",
}


def is_harmless(raw_path: bytes) -> bool:
    """Whether a path, as it was sent, means the same to everybody who reads it.

    Refused are steps upwards, empty steps, backslashes and control characters, all of them also
    where they are encoded, and encodings that hide an encoding or a slash.
    """
    if _PLAIN.fullmatch(raw_path) is not None:  # nearly always
        return True
    if not raw_path.startswith(b"/") or not _HARMLESS_CHARACTERS.issuperset(raw_path):
        return False
    decoded = _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), raw_path)
    if raw_path.count(b"%") != len(_ENCODED.findall(raw_path)):
        return False
    if any(byte < 0x20 or byte == 0x7F for byte in decoded) or b"\\" in decoded or b"%" in decoded:
        return False
    if decoded.count(b"/") != raw_path.count(b"/"):
        return False
    steps = decoded.split(b"/")[1:]
    return not any(step in (b".", b"..") for step in steps) and b"" not in steps[:-1]


def is_service(path: str) -> bool:
    """Whether a path is the API's own rather than the page's."""
    return _SERVICE.fullmatch(path) is not None


def is_page(method: str, path: str, page: str) -> bool:
    """Whether the page, mounted at `page`, needs this path with this method."""
    prefix = page.rstrip("/")
    if method not in ("GET", "HEAD") or not path.startswith(prefix):
        return False
    return _PAGE.fullmatch(path.removeprefix(prefix) or "/") is not None


def is_request_id(given: bytes) -> bool:
    """Whether a client's request id may stand in headers, logs and addresses."""
    return _REQUEST_ID.fullmatch(given) is not None


def from_elsewhere(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser sends this for a page of another origin.

    A browser adds the key of HTTP Basic, and reaches loopback, whoever's page has asked. It tells
    so in Sec-Fetch-Site, older ones in Origin; what is no browser sends neither.
    """
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = headers.get(b"origin")
    if origin is None:
        return False
    return origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()
