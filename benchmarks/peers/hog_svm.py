"""Histograms of oriented gradients (Dalal and Triggs 2005) and a linear SVM: one point.

python -m benchmarks.peers.hog_svm --data FOLDER
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.feature import hog
from sklearn.svm import LinearSVC

from .protocol import Arrays, Stopwatch, parse_options


def features(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(N, F) histograms of (N, C, H, W) images: cells of 4 pixels, blocks of 2 cells."""
    return np.stack(
        [
            hog(image, pixels_per_cell=(4, 4), cells_per_block=(2, 2), channel_axis=0)
            for image in images
        ]
    )


def main() -> None:
    options = parse_options(__doc__)
    watch = Stopwatch(options.started)
    data = Arrays.load(options.data)
    # More features than images is its dual problem's case; here it is the other way round.
    model = LinearSVC(dual=False, random_state=options.seed)
    model.fit(features(data.train_images), data.train_labels)
    watch.epoch_ended(lambda: model.score(features(data.test_images), data.test_labels))


if __name__ == "__main__":
    main()
