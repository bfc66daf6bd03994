"""One garment of each class in every domain, as docs/domains.md shows them.

python -m benchmarks.domain_pictures [--data fashion-mnist] [--out docs/images/domains.png]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import atelier
from atelier.data.domains import DOMAINS, to_domain
from atelier.drawing.canvas import figure, plain, save_png
from atelier.errors import AtelierError

OUT = Path(__file__).parent.parent / "docs" / "images" / "domains.png"
_GAP = 1  # pixels of white around each image


def domain_grid(data: str) -> Figure:
    """A row for the images as they are and one for each domain, a column for each class.

    Raises:
        DataError: no such data set, or not one of gray images.
    """
    dataset = atelier.load_dataset(data)
    train = dataset.train
    first = [int(np.flatnonzero(train.labels == k)[0]) for k in np.unique(train.labels)]
    images, ids = train.images[first], train.ids[first]
    rows = {"as they are": images}
    rows |= {name: to_domain(images, name, ids=ids, part="train") for name in DOMAINS}
    # One sheet with white between the images: an axes for each would take seconds to arrange.
    framed = [
        np.pad(row[:, 0], ((0, 0), (_GAP, _GAP), (_GAP, _GAP)), constant_values=255)
        for row in rows.values()
    ]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in framed])
    height, width = framed[0].shape[1:]
    drawing = figure(len(first) + 1.2, len(rows))
    axes = drawing.subplots()
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=255)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=11, top=True, labeltop=True, labelbottom=False)
    names = [plain(dataset.classes[k]) for k in train.labels[first].tolist()]
    axes.set_xticks(width * (np.arange(len(names)) + 0.5), names)
    axes.set_yticks(height * (np.arange(len(rows)) + 0.5), [plain(name) for name in rows])
    return drawing


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw and write; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="fashion-mnist", help="a data set of gray images")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    try:
        print(f"picture: {save_png(domain_grid(options.data), options.out)}")
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
