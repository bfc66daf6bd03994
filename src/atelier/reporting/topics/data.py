"""What the runs were trained and judged on."""

from __future__ import annotations

from ..pictures import data_pictures
from ..sections import Block, Facts, Points, Section, Shown
from ..subjects import Subject


def data_section(subject: Subject) -> Section:
    """Sizes, notes, balance and samples."""
    dataset = subject.dataset
    blocks: list[Block] = [Facts(data_facts(subject))]
    if dataset.photos is not None and dataset.photos.notes:
        blocks.append(Points(dataset.photos.notes, soft=True))
    blocks += [Shown(picture) for picture in data_pictures(dataset)]
    return Section("data", "Data", blocks)


def data_facts(subject: Subject) -> list[tuple[str, str]]:
    """Counts of images and classes, their size, and the fingerprint."""
    dataset = subject.dataset
    channels, height, width = dataset.train.images.shape[1:]
    judged = dataset.judged
    return [
        (
            "training images" + ", validation included" * (dataset.validation is None),
            f"{len(dataset.train.labels):,}",
        ),
        *(
            (f"{part} images", f"{len(split.labels):,}")
            for part, split in {"validation": dataset.validation, judged[0]: judged[1]}.items()
            if split is not None
        ),
        ("classes", f"{len(dataset.classes)}"),
        ("image size", f"{width} x {height}, {channels} channel{'s' * (channels > 1)}"),
        ("fingerprint (SHA-256)", dataset.fingerprint),
    ]
