"""Copies, contradictions and leaks in the data, as `atelier audit` finds them."""

from __future__ import annotations

import shlex

from ...auditing import audit
from ..findings import Finding, Look
from ..sections import Block, Points, Section, Table, Words

_SHOWN = 12
_MOST_IMAGES = 20_000  # hashing and pairing more takes longer than all the rest of a report


def audit_finding(look: Look) -> Finding:
    """What can be found without training anything."""
    key, title = "audit", "Audit of the data"
    source = look.runs[look.best].recipe.data
    more = f"`atelier audit {shlex.quote(source)} --labels`"
    images = len(look.dataset.train.labels) + len(look.dataset.judged[1].labels)
    # Copies among photos were looked for as they were read; the notes stand with the data.
    if look.quick or look.dataset.photos is not None or images > _MOST_IMAGES:
        missing = f"The data were not audited for this report: {more} does, labels included."
        return Finding(Section(key, title, missing=missing))
    found = audit(source, progress=False)
    kinds = ("exact", "near", "mirrored")
    counts = []
    for kind in kinds:
        own = [pair for pair in found.pairs if pair.kind == kind]
        differ, leak = sum(pair.contradicts for pair in own), sum(pair.leaks for pair in own)
        counts.append([kind, f"{len(own):,}", f"{differ:,}", f"{leak:,}"])
    blocks: list[Block] = [
        Words(f"Images that show the same. Labels that are likely wrong are found by {more}."),
        Table("Pairs that show the same", ["", "in all", "labels differ", "across parts"], counts),
    ]
    rows = [
        [pair.file_a, pair.file_b, pair.kind, pair.label_a, pair.label_b]
        for pair in found.pairs[:_SHOWN]
        if pair.contradicts or pair.leaks
    ]
    if rows:
        header = ["image", "the same", "how", "label", "its label"]
        blocks.append(Table("The pairs to look at first", header, rows, folded=True))
    said = [*found.warnings, *found.notes]
    if found.constant:
        said.append(f"{len(found.constant):,} images show one color alone.")
    if said:
        blocks.append(Points(said, soft=True))
    leaks = sum(pair.leaks for pair in found.pairs)
    sentences = (f"{leaks:,} pairs of images that show the same stand in different parts.",)
    return Finding(Section(key, title, blocks), sentences if leaks else ())
