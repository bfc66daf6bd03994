"""What a run says of image files: calibrated probabilities, or "unknown"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .data.datasets import readable
from .data.images import Invert
from .data.photo_files import list_photos
from .errors import ConfigError, ImageError
from .evaluation import AnswerRule, answer_rule, calibration_of
from .predictions import Predictions
from .predictor import Predictor
from .progress import progress_bar
from .runs import Run

_SHOW_FROM = 200  # files; fewer take no two seconds


@dataclass(frozen=True)
class ImagePrediction:
    """What the model says about one file.

    Attributes:
        path: of the image.
        probs: class name to calibrated probability, the likeliest first.
        inverted: whether light and dark were swapped, for the model knows a dark background.
        unknown: whether the likeliest class is too unlikely for an answer.
    """

    path: str
    probs: dict[str, float]
    inverted: bool
    unknown: bool = False

    @property
    def predicted(self) -> str:
        """The likeliest class; of an unknown image, the best guess."""
        return next(iter(self.probs))

    @property
    def probability(self) -> float:
        """Of the likeliest class."""
        return self.probs[self.predicted]


def predict(
    run: Run | str | Path,
    images: Sequence[str | Path],
    *,
    invert: Invert = "auto",
    max_error: float | None = None,
    unknown_below: float | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> list[ImagePrediction]:
    """Classes and probabilities of image files, by a trained run.

    Args:
        run: a handle or the path of a run folder.
        images: paths of JPEG, PNG, WebP, GIF, BMP or TIFF files of any size and mode, or of folders
            of them, which are searched with the folders in them.
        invert: swap light and dark: ``auto`` does so for pictures on a light background when the
            model reads grey images, whose garments are light on black.
        max_error: answer "unknown" so often that at most this share of the other answers is wrong;
            see `answer_rule_of`.
        unknown_below: answer "unknown" where the likeliest class has a lower probability.
        skip_bad: leave out files that cannot be read.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: a share is out of range or cannot be promised, or both are given.
        RunError: the run folder cannot be used.
        DataError: a folder has no image files.
        ImageError: a file is missing, not an image, damaged or too large.
        DeviceError: this machine has no such device.
    """
    run = run if isinstance(run, Run) else Run(run)
    threshold = unknown_below or 0.0
    if max_error is not None:
        if unknown_below is not None:
            raise ConfigError(
                "max_error and unknown_below both say when to answer unknown", fix="Give one"
            )
        threshold = answer_rule_of(run, max_error).threshold
    return list(
        predict_each(
            run,
            find_images(images),
            invert=invert,
            unknown_below=threshold,
            on_bad=_ignore if skip_bad else None,
            device=device,
            progress=progress,
        )
    )


def predict_each(
    run: Run,
    paths: Sequence[str | Path],
    *,
    invert: Invert = "auto",
    unknown_below: float = 0.0,
    on_bad: Callable[[str, ImageError], None] | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Iterator[ImagePrediction]:
    """As `predict`, one after the other: memory does not grow with the number of files.

    Args:
        run: a handle.
        paths: of files alone; `find_images` gives those of folders.
        on_bad: told of each file that cannot be read, which is then left out.
    """
    if not 0 <= unknown_below <= 1:
        raise ConfigError("a probability is out of range", got=unknown_below, allowed="0 to 1")
    calibration = calibration_of(run)
    temperature = 1.0 if calibration is None else calibration.temperature
    predictor = Predictor.of_run(run, device=device)
    label = np.zeros(1, np.int64)  # unknown; only the probabilities are read
    show = progress and len(paths) >= _SHOW_FROM
    bad = 0

    def note_bad(path: str, error: ImageError) -> None:
        nonlocal bad
        bad += 1
        if on_bad is None:
            raise error
        on_bad(path, error)

    with progress_bar("predict", len(paths), show=show) as bar:
        results = predictor.of_files(paths, invert=invert, on_bad=note_bad)
        for done, (path, logits, inverted) in enumerate(results, start=1):
            calibrated = (logits[None] / temperature).astype(np.float32)
            (probs,) = Predictions(label, label, calibrated, run.classes).probs
            ranked = {run.classes[k]: float(probs[k]) for k in np.argsort(-probs, kind="stable")}
            bar.update(done + bad, f"{done + bad:,} of {len(paths):,} images")
            yield ImagePrediction(path, ranked, inverted, bool(probs.max() < unknown_below))


def answer_rule_of(run: Run, max_error: float) -> AnswerRule:
    """From which calibrated probability on a run should answer, so that at most `max_error` of its
    answers are wrong, with 95 % confidence; see `evaluation.answer_rule`.

    Raises:
        ConfigError: `max_error` is out of range, or no threshold achieves it.
        RunError: no images were held out in the training.
    """
    predictions = run.predictions("validation")
    calibration = calibration_of(run)
    return answer_rule(
        predictions if calibration is None else calibration.apply(predictions), max_error
    )


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """The files among `paths`, and all image files in the folders among them.

    Raises:
        DataError: a folder has no image files, or cannot be read.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        with readable(path):
            is_folder = path.is_dir()
        found += list_photos(path) if is_folder else [path]
    return found


def _ignore(path: str, error: ImageError) -> None:
    pass
