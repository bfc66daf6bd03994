"""Images that no data set has: what people, scanners and mistakes send to a service."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIZES = ((1, 1), (2, 300), (28, 28), (33, 97), (64, 64), (120, 50), (160, 200))  # width, height
# Each way to store a picture, with a mode that it can hold.
_FORMS = (
    ("PNG", "1"),
    ("PNG", "L"),
    ("PNG", "LA"),
    ("PNG", "P"),
    ("PNG", "RGB"),
    ("PNG", "RGBA"),
    ("PNG", "I;16"),
    ("JPEG", "L"),
    ("JPEG", "RGB"),
    ("JPEG", "CMYK"),
    ("WEBP", "RGB"),
    ("WEBP", "RGBA"),
    ("GIF", "P"),
    ("BMP", "RGB"),
    ("TIFF", "L"),
    ("TIFF", "CMYK"),
)
_KINDS = ("black", "white", "one color", "noise", "faint noise", "gradient", "checkers", "known")


def odd_images(count: int, known: npt.NDArray[np.uint8], *, seed: int = 0) -> Iterator[bytes]:
    """Image files that are black, white, noise and other things, of many sizes, modes and formats.

    Args:
        count: of the files; the same count and seed give the same files.
        known: (N, C, H, W) uint8 images, some of which are stored in odd ways.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        kind = _KINDS[number % len(_KINDS)]
        # Not of a common divisor with the kinds, so that each meets each.
        form, mode = _FORMS[(number // len(_KINDS)) % len(_FORMS)]
        size = _SIZES[int(rng.integers(len(_SIZES)))]
        picture = Image.fromarray(_pixels(kind, size, known, rng))
        yield _encoded(picture, form, mode, rng)


def _pixels(
    kind: str,
    size: tuple[int, int],
    known: npt.NDArray[np.uint8],
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """(H, W, 3)."""
    width, height = size
    shape = (height, width, 3)
    match kind:
        case "black" | "white":
            return np.full(shape, 255 * (kind == "white"), np.uint8)
        case "one color":
            return np.broadcast_to(rng.integers(0, 256, 3, np.uint8), shape).copy()
        case "noise":
            return rng.integers(0, 256, shape, np.uint8)
        case "faint noise":
            low = int(rng.integers(0, 240))
            return rng.integers(low, low + 16, shape, np.uint8)
        case "gradient":
            ramp = np.linspace(0, 255, width) if rng.random() < 0.5 else np.linspace(255, 0, width)
            return np.broadcast_to(ramp[None, :, None], shape).astype(np.uint8)
        case "checkers":
            side = int(rng.integers(1, 9))
            rows, columns = np.indices((height, width)) // side
            return np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)
    image = known[int(rng.integers(len(known)))].transpose(1, 2, 0)
    picture = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).astype(np.uint8))
    turned = picture.rotate(float(rng.uniform(-180, 180)), expand=bool(rng.random() < 0.5))
    return np.asarray(turned.resize(size) if rng.random() < 0.5 else turned)


def _encoded(picture: Image.Image, form: str, mode: str, rng: np.random.Generator) -> bytes:
    if mode == "I;16":
        gray = np.asarray(picture.convert("L"), np.uint16)
        picture = Image.fromarray(gray * 257)
    elif mode in ("LA", "RGBA"):
        picture = picture.convert(mode)
        picture.putalpha(int(rng.integers(0, 256)))
    else:
        picture = picture.convert(mode)
    file = io.BytesIO()
    options = {"quality": int(rng.integers(10, 96))} if form in ("JPEG", "WEBP") else {}
    picture.save(file, form, **options)
    return file.getvalue()
