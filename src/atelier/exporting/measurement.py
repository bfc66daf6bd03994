"""The images that an export is made and judged by, and what it is worth on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..data import ImageSplit, load_dataset, validation_of
from ..exported import Answers, ExportedModel
from ..predictor import Predictor
from ..progress import Bar
from ..runs import Run, refuse_other_data
from .odd import odd_images
from .parity import Parity, accuracy_difference, agreement, judge

ODD_IMAGES = 1000
_MOST_TRAINING_IMAGES = 5000  # that stand in for validation images where none were held out
_CALIBRATION_IMAGES = 512
_APART_IMAGES = 2000
_STEP = 256  # images between two movements of the bar


@dataclass(frozen=True)
class Judged:
    """The images that an export is made and judged by.

    Attributes:
        split: labeled, what parity is measured on.
        name: what they are called.
        held_out: whether the training has not learned from them.
        calibration: (N, C, H, W) of the training part, for the ranges of int8.
        apart: likewise, others, for its sensitivity.
    """

    split: ImageSplit
    name: str
    held_out: bool
    calibration: npt.NDArray[np.uint8]
    apart: npt.NDArray[np.uint8]

    @classmethod
    def of_run(cls, run: Run) -> Judged:
        """The validation images of a run, or some of its training images where it has none.

        Raises:
            DataError: the data that the run was trained on are missing or corrupt.
            RunError: they have changed since.
        """
        recipe = run.recipe
        dataset = load_dataset(recipe.data, recipe.photos)
        refuse_other_data(run.path, dataset)
        chosen, validation = validation_of(
            dataset, size=recipe.train.validation_share, seed=recipe.split_seed
        )
        drawn = np.random.default_rng(recipe.seed).permutation(chosen)
        half = min(_CALIBRATION_IMAGES, len(drawn) // 2)
        few = drawn[half : half + _APART_IMAGES]
        name = "validation images"
        if validation is None:
            # From the other end, so that they are not those of the calibration.
            validation = dataset.train.take(np.sort(drawn[::-1][:_MOST_TRAINING_IMAGES]))
            name = "training images, for none were held out"
        images = dataset.train.images
        return cls(
            split=validation,
            name=name,
            held_out=name == "validation images",
            calibration=images[drawn[:half]],
            apart=images[few],
        )


def measure(
    run: Run, exported: ExportedModel, judged: Judged, temperature: float, bar: Bar
) -> tuple[Parity, Answers]:
    """What an export is worth, and its answers to the labeled images."""
    predictor = Predictor.of_run(run, device="cpu")
    split, total = judged.split, len(judged.split) + ODD_IMAGES
    reference, answers = [], []
    for start in range(0, len(split), _STEP):
        images = split.images[start : start + _STEP]
        reference.append(predictor.logits(images))
        answers.append(exported.answer(images))
        bar.update((start + len(images)) / total, f"{start + len(images):,} {judged.name}")
    labeled = _joined(answers)
    logits = np.concatenate(reference)
    odd_reference, odd_answers = [], []
    files = list(odd_images(ODD_IMAGES, split.images))
    for start in range(0, len(files), _STEP):
        pixels = np.stack([exported.read(file).pixels for file in files[start : start + _STEP]])
        odd_reference.append(predictor.logits(pixels))
        odd_answers.append(exported.answer(pixels))
        done = start + len(pixels)
        bar.update((len(split) + done) / total, f"{done:,} odd images")
    parity = judge(
        exported.card.precision,
        judged.name,
        agreement(logits, temperature, labeled),
        accuracy_difference(logits, labeled.logits, split.labels),
        agreement(np.concatenate(odd_reference), temperature, _joined(odd_answers)),
    )
    return parity, labeled


def _joined(answers: list[Answers]) -> Answers:
    return Answers(*map(np.concatenate, zip(*answers, strict=True)))
