"""A page to look through: each suspicious image beside the images that it is most like."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..drawing.pages import page_template
from ..errors import AtelierError
from ..evaluation.tables import percent
from ..storage import write_text
from .collection import Collection
from .findings import Audit
from .label_findings import LabelAudit, Outlier, Suspect

# A page of 4 MB: three thumbnails of at most 6 kB for each of them.
_MOST = {"train": 200, "validation": 60, "test": 60}
_MOST_OUTLIERS = 48
_THUMBNAIL = 96  # pixels, the longer side
_JPEG_FROM = 48


@dataclass(frozen=True)
class Shown:
    """One image of the page: its address, what it is, and its words."""

    source: str
    alt: str
    words: str


@dataclass(frozen=True)
class Card:
    """An image with those beside it."""

    title: str
    said: str
    images: tuple[Shown, ...]


@dataclass(frozen=True)
class Section:
    """The cards of one part."""

    key: str
    title: str
    said: str
    cards: tuple[Card, ...]


def write_label_page(audit: Audit, collection: Collection, path: str | Path) -> Path:
    """Write the page, whole or not at all, over what is at `path`.

    Args:
        audit: one that has looked at labels.
        collection: the images.
        path: the HTML file, which asks nothing of a network.

    Raises:
        AtelierError: the audit has not looked at labels.
        StorageError: no space or no permission.
    """
    found = audit.labels
    if found is None:
        raise AtelierError("this audit has not looked at labels", fix="Add --labels")
    page = page_template(Path(__file__).parent / "templates", "labels.html.j2").render(
        title=f"Labels of {audit.name}",
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        items=_facts(found),
        sections=_sections(found, collection),
        overlaps=[str(pair) for pair in found.overlaps[:8]],
        table=found.overlap_table(),
        found=found,
    )
    path = Path(path)
    write_text(path, page)
    return path


def _facts(found: LabelAudit) -> list[tuple[str, str]]:
    agreed = [
        (f"agreement on {part} images", percent(share)) for part, share in found.agreement.items()
    ]
    return [
        ("labels likely wrong", f"{len(found.suspects):,}"),
        ("images like no other", f"{len(found.outliers):,}"),
        *agreed,
        ("networks", f"{found.folds}, by the recipe {found.recipe}"),
    ]


def _sections(found: LabelAudit, collection: Collection) -> list[Section]:
    sections = []
    for part in found.agreement:
        own = [suspect for suspect in found.suspects if suspect.part == part]
        if not own:
            continue
        shown = own[: _MOST[part]]
        said = f"{len(own):,} labels are likely wrong"
        if len(shown) < len(own):
            said += f"; the {len(shown)} most suspicious are shown"
        if part == "test":
            said += ". Models are judged by these images, and no file of corrections changes them"
        cards = tuple(_card(suspect, collection) for suspect in shown)
        title = {"train": "Training images", "validation": "Validation images"}
        sections.append(Section(part, title.get(part, "Test images"), f"{said}.", cards))
    if found.outliers:
        few = found.outliers[:_MOST_OUTLIERS]
        said = f"{len(found.outliers):,} images are far from all others"
        said += f"; the {len(few)} farthest are shown." if len(few) < len(found.outliers) else "."
        cards = tuple(_outlier(outlier, collection) for outlier in few)
        sections.append(Section("outliers", "Images like no other", said, cards))
    return sections


def _card(suspect: Suspect, collection: Collection) -> Card:
    images = [_shown(collection, suspect.position, "this image")]
    for label, place in (
        (suspect.given, suspect.nearest_given),
        (suspect.suggested, suspect.nearest_suggested),
    ):
        if place >= 0:
            images.append(_shown(collection, place, label))
    return Card(
        f"{suspect.rank}. {suspect.image}",
        f"labeled {suspect.given} ({percent(suspect.confidence_given, 1)}), looks like "
        f"{suspect.suggested} ({percent(suspect.confidence_suggested, 1)})",
        tuple(images),
    )


def _outlier(outlier: Outlier, collection: Collection) -> Card:
    return Card(
        outlier.image,
        f"labeled {outlier.given}, {outlier.distance:.1f} times as far as usual",
        (_shown(collection, outlier.position, outlier.part),),
    )


def _shown(collection: Collection, position: int, words: str) -> Shown:
    return Shown(thumbnail(collection[position]), f"{words}: {collection.names[position]}", words)


def thumbnail(image: npt.NDArray[np.uint8]) -> str:
    """A (C, H, W) uint8 image as a data address, its longer side at most 96 pixels."""
    from PIL import Image

    pixels: Any = image[0] if image.shape[0] == 1 else image.transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    kind = "jpeg" if max(picture.size) > _JPEG_FROM else "png"
    buffer = io.BytesIO()
    picture.save(buffer, kind, **({"quality": 82} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
