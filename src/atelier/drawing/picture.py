"""A figure with its title, its caption and its words for the blind."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from .canvas import jpeg_bytes, png_bytes, write_bytes

_CSS_PIXELS_PER_INCH = 96


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure with its words: `key` names its file, `alt` says what a reader would see in it, and
    `photos` whether color photos are in it."""

    key: str
    title: str
    figure: Figure
    alt: str
    caption: str
    photos: bool = False

    @functools.cached_property
    def data(self) -> bytes:
        """The figure as PNG, or as JPEG, drawn once for the report and the folder."""
        return jpeg_bytes(self.figure) if self.photos else png_bytes(self.figure)

    @property
    def source(self) -> str:
        """The picture as a data address."""
        kind = "jpeg" if self.photos else "png"
        return f"data:image/{kind};base64," + base64.b64encode(self.data).decode("ascii")

    def save(self, folder: str | Path) -> Path:
        """Write ``<key>.png`` or ``<key>.jpg`` into `folder`, whole or not at all.

        Raises:
            StorageError: no space or no permission.
        """
        path = Path(folder) / f"{self.key}.{'jpg' if self.photos else 'png'}"
        write_bytes(path, self.data)
        return path

    @property
    def width(self) -> int:
        """In CSS pixels."""
        return round(self.figure.get_figwidth() * _CSS_PIXELS_PER_INCH)

    @property
    def height(self) -> int:
        """In CSS pixels."""
        return round(self.figure.get_figheight() * _CSS_PIXELS_PER_INCH)
