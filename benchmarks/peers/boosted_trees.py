"""scikit-learn's histogram-based gradient boosting with its defaults, on pixels: one point.

python -m benchmarks.peers.boosted_trees --data FOLDER
"""

from __future__ import annotations

from sklearn.ensemble import HistGradientBoostingClassifier

from .protocol import Arrays, Stopwatch, parse_options


def main() -> None:
    options = parse_options(__doc__)
    watch = Stopwatch(options.started)
    data = Arrays.load(options.data)
    model = HistGradientBoostingClassifier(random_state=options.seed)
    model.fit(data.train_images.reshape(len(data.train_images), -1), data.train_labels)
    test_pixels = data.test_images.reshape(len(data.test_images), -1)
    watch.epoch_ended(lambda: model.score(test_pixels, data.test_labels))


if __name__ == "__main__":
    main()
