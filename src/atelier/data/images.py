"""Image files from anywhere to arrays that look like the data set, within limits.

The limits hold before anything is decoded: a file of a few kilobytes can claim an image that fills
the memory.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from ..errors import ImageError

MAX_IMAGE_BYTES = 32 * 2**20
MAX_IMAGE_PIXELS = 50_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
_ALLOWED = "JPEG, PNG, WebP, GIF, BMP, TIFF"
_MODES = {1: "L", 3: "RGB"}
_LIGHT = 127
_REDUCING_GAP = 3.0  # from where on Pillow's manual calls the result as good as a full resize
_ORIENTATION = 0x0112  # of EXIF
_ON_ITS_SIDE = 5  # from this orientation on
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow's complaints are told as errors here, and would stand on standard error beside them.
logging.getLogger("PIL").addHandler(logging.NullHandler())

Invert = Literal["auto", "yes", "no"]


class LoadedImage(NamedTuple):
    """One image, made to look like those of a data set.

    Attributes:
        pixels: (C, H, W) uint8.
        inverted: whether light and dark were swapped; the user is to be told.
    """

    pixels: npt.NDArray[np.uint8]
    inverted: bool


def read_image(
    source: str | Path | bytes,
    *,
    channels: int,
    image_size: tuple[int, int],
    invert: Invert = "auto",
) -> LoadedImage:
    """Read one image file and fit it into the shape of a data set.

    Turned as its EXIF data say; transparency laid over white (over black for a gray image with
    `invert="no"`); letterboxed to `image_size` with an antialiased resize and margins in the median
    color of its border. A JPEG that is much larger is decoded at a half, a quarter or an eighth of
    its size, never below the wanted one. An image that has the shape already keeps its pixels, bit
    for bit. Of an animation the first frame is taken. 16-bit gray is scaled by 255/65535; integers
    or floats of 32 bits, which have no fixed range, are stretched from their least to their largest
    value.

    Args:
        source: a path, or the bytes of a file.
        channels: 1 for gray, 3 for RGB.
        image_size: (H, W) in pixels.
        invert: ``auto`` inverts a gray image if the median of its border is above 127, because
            Fashion-MNIST, like MNIST, shows light things on black; ``yes`` and ``no`` decide it.

    Raises:
        ImageError: missing, not a file, empty, over 32 MiB or 50 megapixels, of a format that is
            not JPEG, PNG, WebP, GIF, BMP or TIFF, or corrupt.
    """
    (image,) = read_images([source], channels=channels, image_size=image_size, invert=invert)
    if isinstance(image, ImageError):
        raise image
    return image


def read_images(
    sources: Sequence[str | Path | bytes],
    *,
    channels: int,
    image_size: tuple[int, int],
    invert: Invert = "auto",
) -> list[LoadedImage | ImageError]:
    """Read image files as `read_image` does, each or the error that says why it cannot be read.

    One step after the other is done for all of them: of small images that takes a third less time
    than one image after the other, for a processor's caches hold the code of a step.

    Args:
        sources: a path or the bytes of a file each.
        channels: as of `read_image`.
        image_size: as of `read_image`.
        invert: as of `read_image`.

    Returns:
        As many as `sources`, in their order.

    Raises:
        ImageError: what is wanted of the images is impossible.
    """
    if channels not in _MODES:
        raise ImageError("images have 1 or 3 channels", got=channels, allowed=[1, 3])
    if invert not in ("auto", "yes", "no"):
        raise ImageError("cannot tell what to invert", got=invert, allowed=["auto", "yes", "no"])
    background = 0 if channels == 1 and invert == "no" else 255
    # Pillow only warns of twice its own limit, and of oddities in metadata that do not matter.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pictures = [_decoded(one, _MODES[channels], background, image_size) for one in sources]
    fitted = {
        at: _letterbox(picture, image_size)
        for at, picture in enumerate(pictures)
        if isinstance(picture, Image.Image)
    }
    inverted = dict.fromkeys(fitted, invert == "yes")
    if invert == "auto" and channels == 1 and fitted:
        medians = _border_medians(np.stack(list(fitted.values())))
        inverted = {at: median > _LIGHT for at, median in zip(fitted, medians, strict=True)}
    return [
        picture
        if isinstance(picture, ImageError)
        else LoadedImage(255 - fitted[at] if inverted[at] else fitted[at], inverted[at])
        for at, picture in enumerate(pictures)
    ]


def read_file(path: str | Path) -> bytes:
    """The bytes of an image file, unless it is too large.

    Raises:
        ImageError: missing, not a regular file, over 32 MiB, or not to be read.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - of very many files: no Path made
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{path} is a folder", fix="Give the image files in it")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{path} is not a regular file", fix="Give an image file")
        if status.st_size > MAX_IMAGE_BYTES:
            raise _too_large(str(path), status.st_size)
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            return file.read(MAX_IMAGE_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {path}", fix="Check the path") from error
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # a null character in the path
        raise ImageError(f"{str(path)!r} is not a path: {error}") from error


def _too_large(name: str, size_bytes: int) -> ImageError:
    return ImageError(
        f"{name} is too large a file",
        got=f"{size_bytes / 2**20:.1f} MiB",
        allowed=f"up to {MAX_IMAGE_BYTES // 2**20} MiB",
        fix="Save it smaller",
    )


def _too_many_pixels(name: str, got: object) -> ImageError:
    return ImageError(
        f"{name} has too many pixels",
        got=got,
        allowed=f"up to {MAX_IMAGE_PIXELS // 10**6} million",
        fix="Scale it down",
    )


def _decoded(
    source: str | Path | bytes, mode: str, background: int, image_size: tuple[int, int]
) -> Image.Image | ImageError:
    try:
        if isinstance(source, bytes):
            name, data = "the image", source
        else:
            name, data = str(source), read_file(source)
        if not data:
            raise ImageError(f"{name} is empty", fix=f"Give an image file: {_ALLOWED}")
        if len(data) > MAX_IMAGE_BYTES:
            raise _too_large(name, len(data))
        return _decode(data, name, mode, background, image_size)
    except ImageError as error:
        return error


def _decode(
    data: bytes, name: str, mode: str, background: int, image_size: tuple[int, int]
) -> Image.Image:
    """The first frame, upright, in `mode` (L or RGB), without transparency, as large as fits."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_IMAGE_PIXELS:
                raise _too_many_pixels(name, f"{image.width:,} x {image.height:,}")
            # Only a JPEG can be decoded smaller, and tells its orientation before its pixels; a
            # PNG may tell it after them.
            drafted = None
            if isinstance(image, JpegImageFile):
                fitted = _fitted(image.size, image_size, _orientation(image))
                drafted = image.draft(None, fitted)
            image.load()
            orientation = _orientation(image)
            if drafted is None:
                fitted = _fitted(image.size, image_size, orientation)
                box = (0.0, 0.0, float(image.width), float(image.height))
            else:
                box = drafted[1]
            picture = _resize(_flatten(image, mode, background), fitted, box)
            turn = _TURNS.get(orientation)
            return picture if turn is None else picture.transpose(turn)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read", allowed=_ALLOWED) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, "over 178 million") from error
    except Exception as error:
        # Decoders of hostile bytes raise almost anything (OSError, SyntaxError, struct.error,
        # IndexError, MemoryError ...), and all of it means the same to the user.
        raise ImageError(
            f"{name} is a corrupt or cut-off image: {error}", fix="Save or download it again"
        ) from error


def _orientation(image: Image.Image) -> int:
    """As EXIF data say it, from 1 to 8: how the stored picture must be turned to stand upright."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # broken EXIF data tell no orientation, and the pixels are good
        return 1


def _fitted(
    size: tuple[int, int], image_size: tuple[int, int], orientation: int
) -> tuple[int, int]:
    """(width, height) of a stored picture that was scaled so that, upright, it just fits."""
    height, width = image_size if orientation < _ON_ITS_SIDE else image_size[::-1]
    scale = min(width / size[0], height / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:
    if size == image.size and box == (0.0, 0.0, float(size[0]), float(size[1])):
        return image
    # Pillow's resize is antialiased; a far larger picture is first reduced by whole numbers.
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_REDUCING_GAP)


def _flatten(image: Image.Image, mode: str, background: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        gray = (values / 257).round().astype(np.uint8)
        if isinstance(clear := image.info.get("transparency"), int):
            gray[values == clear] = background
        return Image.fromarray(gray).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (background, background, background, 255))
        return Image.alpha_composite(below, image).convert(mode)
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
        spread = float(np.ptp(values)) or 1.0
        stretched = (values - values.min()) / spread * 255
        return Image.fromarray(stretched.round().astype(np.uint8)).convert(mode)
    return image if image.mode == mode else image.convert(mode)


def _letterbox(image: Image.Image, image_size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(C, H, W) pixels: `image`, which fits, in the middle."""
    height, width = image_size
    inner = np.asarray(image).reshape(image.height, image.width, -1).transpose(2, 0, 1)
    if inner.shape[1:] == image_size:
        return np.ascontiguousarray(inner)
    pixels = np.empty((len(inner), height, width), np.uint8)
    top, left = (height - inner.shape[1]) // 2, (width - inner.shape[2]) // 2
    bottom, right = top + inner.shape[1], left + inner.shape[2]
    margins = np.array(_border_medians(inner), np.uint8)[:, None, None]
    pixels[:, :top], pixels[:, bottom:] = margins, margins
    pixels[:, top:bottom, :left], pixels[:, top:bottom, right:] = margins, margins
    pixels[:, top:bottom, left:right] = inner
    return pixels


def _border_medians(pixels: npt.NDArray[np.uint8]) -> list[int]:
    """Of the outermost pixels of each channel, of (C, H, W) or, image by image, (N, C, H, W)."""
    edges = (pixels[..., 0, :], pixels[..., -1, :], pixels[..., 1:-1, 0], pixels[..., 1:-1, -1])
    border = np.concatenate(edges, axis=-1)
    border = border.reshape(-1, border.shape[-1])
    border.sort(axis=1)  # for so few bytes three times as fast as np.median, and the same
    middle = border.shape[1] // 2
    both = zip(border[:, middle].tolist(), border[:, ~middle].tolist(), strict=True)
    return [round((one + other) / 2) for one, other in both]
