"""What a run or an exported model says of image files: calibrated probabilities, or "unknown".

What a run needs is imported when a run is given: an exported model answers where torch is not
installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .data.datasets import readable
from .data.image_files import read_in_batches
from .data.images import Invert
from .data.photo_files import list_photos
from .errors import ConfigError, DeviceError, ImageError
from .exported import ExportedModel
from .extras import require
from .progress import progress_bar

if TYPE_CHECKING:
    from .evaluation import AnswerRule
    from .evaluation.conformal import ConformalRule
    from .runs import Run

_SHOW_FROM = 200  # files; fewer take no two seconds
_EXPORTS = (".onnx", ".pt2")

_OnBad = Callable[[str, ImageError], None]


@dataclass(frozen=True)
class ImagePrediction:
    """What the model says about one file.

    Attributes:
        path: of the image.
        probs: class name to calibrated probability, the likeliest first.
        inverted: whether light and dark were swapped, for the model knows a dark background.
        unknown: whether the likeliest class is too unlikely for an answer.
        possible: the classes that the true one is among as often as promised, the likeliest first,
            possibly none; None where no promise was asked for.
    """

    path: str
    probs: dict[str, float]
    inverted: bool
    unknown: bool = False
    possible: tuple[str, ...] | None = None

    @property
    def predicted(self) -> str:
        """The likeliest class; of an unknown image, the best guess."""
        return next(iter(self.probs))

    @property
    def probability(self) -> float:
        """Of the likeliest class."""
        return self.probs[self.predicted]


def predict(
    run: Run | ExportedModel | str | PathLike[str],
    images: Sequence[str | Path],
    *,
    invert: Invert = "auto",
    max_error: float | None = None,
    unknown_below: float | None = None,
    sets: float | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> list[ImagePrediction]:
    """Classes and probabilities of image files, by a trained run or an exported model.

    Args:
        run: a handle, the path of a run folder, or that of a file that `export` has made.
        images: paths of JPEG, PNG, WebP, GIF, BMP or TIFF files of any size and mode, or of folders
            of them, which are searched with the folders in them.
        invert: swap light and dark: ``auto`` does so for pictures on a light background when the
            model reads grey images, whose garments are light on black.
        max_error: answer "unknown" so often that at most this share of the other answers is wrong;
            see `threshold_of`.
        unknown_below: answer "unknown" where the likeliest class has a lower probability; None is
            what an exported model was given for it, and never for a run.
        sets: name for each image the classes that the true one is among in this share of images
            like those of the data set; see `evaluation.conformal`. Of a run.
        skip_bad: leave out files that cannot be read.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; an exported model runs on the CPU.
        progress: show a bar on standard error.

    Raises:
        ConfigError: a share is out of range or cannot be promised, or two that exclude each other
            are given.
        RunError: the run folder cannot be used, or held out no images for what is asked.
        ExportError: the exported file cannot be used.
        ExtraError: what a run or this kind of file needs is not installed.
        DataError: a folder has no image files.
        ImageError: a file is missing, not an image, damaged or too large.
        DeviceError: this machine has no such device.
    """
    model = open_model(run)
    threshold, _ = threshold_of(model, max_error=max_error, unknown_below=unknown_below)
    return list(
        predict_each(
            model,
            find_images(images),
            invert=invert,
            unknown_below=threshold,
            sets=sets_rule_of(model, sets),
            on_bad=_ignore if skip_bad else None,
            device=device,
            progress=progress,
        )
    )


def open_model(model: Run | ExportedModel | str | PathLike[str]) -> Run | ExportedModel:
    """A handle on the run in a folder, or the exported model in a file; a handle stays as it is.

    Raises:
        RunError: the run folder cannot be used.
        ExportError: the exported file cannot be used.
        ExtraError: what a run or this kind of file needs is not installed.
    """
    if not isinstance(model, (str, PathLike)):
        return model
    path = Path(model)
    with readable(path):
        is_export = path.is_file() or (path.suffix in _EXPORTS and not path.is_dir())
    if is_export:
        return ExportedModel(path)
    require("torch")
    from .runs import Run

    return Run(path)


def threshold_of(
    model: Run | ExportedModel, *, max_error: float | None, unknown_below: float | None
) -> tuple[float, str]:
    """From which probability on a model is to answer, and what is promised of it, as a sentence.

    A run's threshold for a stated error comes from its validation images (`answer_rule_of`). An
    exported model has no such images with it, and knows the one that it was exported for.

    Args:
        max_error: the share of wrong answers that is allowed.
        unknown_below: a threshold set by hand.

    Raises:
        ConfigError: both are given, or the error is out of range or cannot be promised.
        RunError: no images were held out in the training.
    """
    if max_error is not None and unknown_below is not None:
        raise ConfigError(
            "max_error and unknown_below both say when to answer unknown", fix="Give one"
        )
    if unknown_below is not None:
        return unknown_below, ""
    if not isinstance(model, ExportedModel):
        if max_error is None:
            return 0.0, ""
        rule = answer_rule_of(model, max_error)
        return rule.threshold, str(rule)
    card = model.card
    if max_error not in (None, card.max_error):
        kept = "no error" if card.max_error is None else f"an error of {card.max_error:g}"
        raise ConfigError(
            f"{model.path} was exported with a threshold for {kept}",
            got=max_error,
            fix=f"Export the run again with --max-error {max_error:g}, or set a threshold by hand "
            "with --unknown-below",
        )
    return card.threshold, card.rule


def sets_rule_of(model: Run | ExportedModel, level: float | None) -> ConformalRule | None:
    """By which rule a run names sets of classes that hold the true one in this share of images.

    Args:
        model: a run; an exported model has no validation images with it.
        level: the share; None asks for no sets.

    Raises:
        ConfigError: the share is out of range, or the model is an exported one.
        RunError: no images were held out in the training.
    """
    if level is None:
        return None
    if isinstance(model, ExportedModel):
        raise ConfigError(
            f"{model.path} is an exported model, which has no validation images to choose sets by",
            fix="Predict with the run that it was exported from",
        )
    from .evaluation.conformal import conformal_of

    return conformal_of(model, level)


def predict_each(
    model: Run | ExportedModel,
    paths: Sequence[str | Path],
    *,
    invert: Invert = "auto",
    unknown_below: float = 0.0,
    sets: ConformalRule | None = None,
    on_bad: _OnBad | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Iterator[ImagePrediction]:
    """As `predict`, one after the other: memory does not grow with the number of files.

    Args:
        model: a handle.
        paths: of files alone; `find_images` gives those of folders.
        unknown_below: see `threshold_of`.
        sets: see `sets_rule_of`.
        on_bad: told of each file that cannot be read, which is then left out.
    """
    if not 0 <= unknown_below <= 1:
        raise ConfigError("a probability is out of range", got=unknown_below, allowed="0 to 1")
    show = progress and len(paths) >= _SHOW_FROM
    bad = 0

    def note_bad(path: str, error: ImageError) -> None:
        nonlocal bad
        bad += 1
        if on_bad is None:
            raise error
        on_bad(path, error)

    if isinstance(model, ExportedModel):
        results = _by_export(model, paths, invert, note_bad, device)
    else:
        results = _by_run(model, paths, invert, note_bad, device)
    with progress_bar("predict", len(paths), show=show) as bar:
        for done, (path, probs, inverted) in enumerate(results, start=1):
            order = np.argsort(-probs, kind="stable")
            ranked = {model.classes[k]: float(probs[k]) for k in order}
            bar.update(done + bad, f"{done + bad:,} of {len(paths):,} images")
            possible = None
            if sets is not None:
                (held,) = sets.sets(probs[None])
                possible = tuple(model.classes[k] for k in order if held[k])
            unknown = bool(probs.max() < unknown_below)
            yield ImagePrediction(path, ranked, inverted, unknown, possible)


_Judged = Iterator[tuple[str, npt.NDArray[Any], bool]]
"""Paths, (K,) calibrated probabilities, and whether light and dark were swapped."""


def _by_run(
    run: Run, paths: Sequence[str | Path], invert: Invert, on_bad: _OnBad, device: str
) -> _Judged:
    from .evaluation import calibration_of
    from .predictions import Predictions
    from .predictor import Predictor

    calibration = calibration_of(run)
    temperature = 1.0 if calibration is None else calibration.temperature
    label = np.zeros(1, np.int64)  # unknown; only the probabilities are read
    predictor = Predictor.of_run(run, device=device)
    for path, logits, inverted in predictor.of_files(paths, invert=invert, on_bad=on_bad):
        calibrated = (logits[None] / temperature).astype(np.float32)
        (probs,) = Predictions(label, label, calibrated, run.classes).probs
        yield path, probs, inverted


def _by_export(
    model: ExportedModel, paths: Sequence[str | Path], invert: Invert, on_bad: _OnBad, device: str
) -> _Judged:
    if device not in ("auto", "cpu"):
        raise DeviceError("an exported model runs on the CPU", got=device, allowed="auto, cpu")
    for batch in read_in_batches(
        paths,
        image_shape=model.image_shape,
        batch_size=model.batch_size,
        invert=invert,
        on_bad=on_bad,
    ):
        answers = model.answer(np.stack([image.pixels for _, image in batch]))
        for (path, image), probs in zip(batch, answers.probs, strict=True):
            yield path, probs, image.inverted


def answer_rule_of(run: Run, max_error: float) -> AnswerRule:
    """From which calibrated probability on a run should answer, so that at most `max_error` of its
    answers are wrong, with 95 % confidence; see `evaluation.answer_rule`.

    Raises:
        ConfigError: `max_error` is out of range, or no threshold achieves it.
        RunError: no images were held out in the training.
    """
    from .evaluation import answer_rule, calibration_of

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
