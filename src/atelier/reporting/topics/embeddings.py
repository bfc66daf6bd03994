"""How the images lie to each other in what the best run has learned."""

from __future__ import annotations

from ...embeddings import embedding_pictures, load_embeddings, quick_maps
from ..findings import Finding, Look, command
from ..sections import Block, Section, Shown, Words

_IMAGES = 1_500


def embeddings_finding(look: Look) -> Finding:
    """Kept maps of each run, else principal components of the best run's."""
    key, title = "embeddings", "Embeddings"
    run = look.runs[look.best]
    kept = {name: load_embeddings(one) for name, one in look.runs.items()}
    if not any(kept.values()) and not look.quick:
        maps = quick_maps(run, look.dataset, images=_IMAGES, device=look.device)
        kept = {look.best: maps}
        more = f"{command('embeddings', [run])} adds t-SNE, UMAP and a page with every image."
    else:
        more = ""
    found = {name: maps for name, maps in kept.items() if maps is not None}
    if not found:
        missing = f"No map is kept for these runs: {command('embeddings', [run])} draws them."
        return Finding(Section(key, title, missing=missing))
    blocks: list[Block] = [Words(f"What {', '.join(found)} have learned of each image. {more}")]
    if len(found) == 1:
        blocks = [Words(f"What {next(iter(found))} has learned of each image. {more}")]
    parts = []
    for number, (name, maps) in enumerate(found.items(), start=1):
        pictures = [Shown(picture) for picture in embedding_pictures(maps)]
        if len(found) == 1:
            blocks += pictures
        else:
            parts.append(Section(f"run-{number}", name, pictures, folded=name != look.best))
    return Finding(Section(key, title, blocks, parts))
