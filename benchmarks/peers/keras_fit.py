"""Keras's `Model.fit` on the plain loop's network and arrays in [0, 1], batch 64, Adam.

python -m benchmarks.peers.keras_fit --backend jax --data FOLDER --epochs 10
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from .protocol import Arrays, Stopwatch, parse_options

BATCH_SIZE = 64


def as_inputs(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(N, H, W, C) float32 in [0, 1], as Keras's own examples have them."""
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)).astype(np.float32) / 255


def main() -> None:
    options = parse_options(__doc__, backend=("jax", "torch"))
    watch = Stopwatch(options.started)
    os.environ["KERAS_BACKEND"] = options.backend  # read by the import
    import keras
    from keras import layers

    keras.utils.set_random_seed(options.seed)
    data = Arrays.load(options.data)
    images, test_images = as_inputs(data.train_images), as_inputs(data.test_images)
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(int(data.train_labels.max()) + 1),
        ]
    )
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )

    def test_accuracy() -> float:
        logits = model.predict(test_images, batch_size=1000, verbose=0)
        return float((logits.argmax(axis=1) == data.test_labels).mean())

    ended = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _epoch, _logs: watch.epoch_ended(test_accuracy)
    )
    model.fit(
        images,
        data.train_labels,
        batch_size=BATCH_SIZE,
        epochs=options.epochs,
        verbose=0,
        callbacks=[ended],
    )


if __name__ == "__main__":
    main()
