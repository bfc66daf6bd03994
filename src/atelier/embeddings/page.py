"""The maps as one HTML file in which every point shows its image. It needs no network.

Its script is in the file, and its policy lets nothing run but that script, told by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Sequence
from importlib.resources import files as resources_of
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..data import ImageSplit
from ..drawing.pages import page_template
from ..storage import write_text
from .pictures import style
from .result import EmbeddingMaps

_MOST_SPRITE_BYTES = 3_300_000  # as base64 4.4 MB: the whole file stays below 5
_SIDES = (64, 48, 40, 32, 28, 24, 16, 12, 8)
_LARGEST_SHEET = 16_383  # what WebP can hold in each direction


def write_page(
    maps: EmbeddingMaps, shown: ImageSplit, path: Path, *, files: Sequence[str] | None = None
) -> Path:
    """Write the page of `maps`, whole or not at all.

    Args:
        maps: what to show.
        shown: the N images of the maps, in their order.
        path: of the file.
        files: the names of photos, by the images' ids.

    Raises:
        StorageError: no space or no permission.
    """
    sheet, side, columns = sprite(shown.images)
    script = (resources_of("atelier.embeddings") / "browser" / "map.js").read_text("utf-8")
    script = f"\n{script}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    source = "data:image/webp;base64," + base64.b64encode(sheet).decode("ascii")
    values = {**_values(maps, files), "side": side, "columns": columns}
    # Within a script "</" would end it, whatever stands around.
    told = json.dumps(values, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    template = page_template(Path(__file__).parent / "browser", "map.html.j2")
    page = template.render(
        maps=maps,
        script=script,
        digest=digest,
        source=source,
        values=told,
        placeholder="id" if files is None else "id or file",
    )
    write_text(path, page)
    return path


def sprite(images: npt.NDArray[np.uint8]) -> tuple[bytes, int, int]:
    """All images on one sheet.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        The sheet as WebP, the side of each image's square in pixels, and the squares in a row.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    largest = max(images.shape[2:])
    data, side = b"", 0
    for side in _SIDES:
        if side > max(largest, _SIDES[-1]) and side != _SIDES[-1]:
            continue  # nothing is gained by larger ones
        if side * columns > _LARGEST_SHEET:
            continue
        data = _sheet(images, side, columns, rows)
        if len(data) <= _MOST_SPRITE_BYTES:
            break
    return data, side, columns


def _sheet(images: npt.NDArray[np.uint8], side: int, columns: int, rows: int) -> bytes:
    sheet = Image.new("RGB", (columns * side, rows * side))
    for position, image in enumerate(images):
        pixels = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
        small = Image.fromarray(pixels).convert("RGB")
        if max(small.size) > side:
            small.thumbnail((side, side))
        left, top = position % columns * side, position // columns * side
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
    buffer = io.BytesIO()
    sheet.save(buffer, format="webp", quality=80, method=2)
    return buffer.getvalue()


def _values(maps: EmbeddingMaps, files: Sequence[str] | None) -> dict[str, Any]:
    return {
        "classes": list(maps.classes),
        "styles": [style(k) for k in range(len(maps.classes))],
        "ids": maps.ids.tolist(),
        "labels": maps.labels.tolist(),
        "predicted": maps.predicted.tolist(),
        "confidence": maps.confidence.round(4).tolist(),
        "neighbors": maps.neighbors.tolist(),
        "files": None if files is None else [files[image] for image in maps.ids],
        "layouts": [
            {
                "name": layout.name,
                "points": _unit(layout.points).round(4).tolist(),
                "trustworthiness": round(layout.quality.trustworthiness, 3),
                "neighbors": round(layout.quality.neighbor_accuracy, 4),
            }
            for layout in maps.layouts
        ],
    }


def _unit(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The positions within the unit square, their proportions kept."""
    low = points.min(axis=0)
    span = np.ptp(points, axis=0)
    largest = float(span.max()) or 1.0
    unit: npt.NDArray[np.float64] = (points - low + (largest - span) / 2) / largest
    return unit
