"""The errors of the recipe `cnn`, which mean corruption errors are told beside."""

from __future__ import annotations

import json
from importlib import resources

from .corruptions import VERSION
from .scores import ReferenceErrors

FILE = "cnn_fashion_mnist.json"


def kept_reference(data_fingerprint: str, part: str) -> ReferenceErrors | None:
    """The errors of `cnn` that come with this package, made by
    ``python -m benchmarks.corruption_reference``; None for other data than Fashion-MNIST's test
    images, and where the corruptions have changed since.

    Args:
        data_fingerprint: of the data set.
        part: that is judged.
    """
    path = resources.files(__package__) / FILE
    if part != "test" or not path.is_file():
        return None
    kept = json.loads(path.read_text("utf-8"))
    if kept["corruptions_version"] != VERSION or kept["data_fingerprint"] != data_fingerprint:
        return None
    errors = {name: tuple(row) for name, row in kept["errors"].items()}
    words = f"the recipe cnn, seed {kept['seed']}, on all {kept['n']:,} test images"
    return ReferenceErrors(kept["clean_error"], errors, words)
