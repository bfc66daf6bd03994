"""Data sets, from wherever they lie to arrays of uint8 images."""

from .datasets import Dataset, ImageSplit, load_dataset, normalization_of
from .explore import DatasetSummary, summarize
from .images import LoadedImage, read_image, read_images
from .sources import fetch, obtain_dataset
from .splits import split_validation, validation_of

__all__ = [
    "Dataset",
    "DatasetSummary",
    "ImageSplit",
    "LoadedImage",
    "fetch",
    "load_dataset",
    "normalization_of",
    "obtain_dataset",
    "read_image",
    "read_images",
    "split_validation",
    "summarize",
    "validation_of",
]
