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
    drawing = figure(len(first) + 1.2, len(rows))
    grid = drawing.subplots(len(rows), len(first))
    for axes_row, (name, row) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(axes_row, row, strict=True):
            axes.imshow(image[0], cmap="gray", vmin=0, vmax=255)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        axes_row[0].set_ylabel(plain(name), rotation=0, ha="right", va="center", fontsize=11)
    for axes, label in zip(grid[0], train.labels[first].tolist(), strict=True):
        axes.set_title(plain(dataset.classes[label]), fontsize=10)
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
