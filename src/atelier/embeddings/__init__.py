"""Maps of what the penultimate layer sees, and numbers that say how far to believe them."""

from .entry import embeddings, quick_maps
from .pictures import embedding_pictures
from .result import EmbeddingMaps, Layout, load_embeddings

__all__ = [
    "EmbeddingMaps",
    "Layout",
    "embedding_pictures",
    "embeddings",
    "load_embeddings",
    "quick_maps",
]
