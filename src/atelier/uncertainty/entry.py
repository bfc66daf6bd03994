"""`uncertainty`: from a run to how far its probabilities can be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..data import Dataset, ImageSplit, load_dataset, validation_of
from ..errors import ConfigError
from ..evaluation import NO_TEST_PART, calibration_of, evaluate, judged_images
from ..evaluation.selective import risk_coverage, sureness_of
from ..predictor import Predictor
from ..progress import progress_bar
from ..runs import Run
from .pictures import uncertainty_pictures
from .probabilities import broken_promise, judge_sets, score_probabilities
from .result import Uncertainty
from .separation import separate, some
from .unknowns import DRAWN, UnknownImages, drawn_unknowns, read_unknowns

MOST_TRAINING, MOST_KNOWN = 5_000, 2_000
_NOTHING_HELD_OUT = (
    "No images were held out in the training. What the model's own probabilities are worth is "
    "shown, and whether its scores tell the unknown; thresholds for that are those of the test "
    "images, for show alone. A temperature and sets of classes cannot be fitted, for nothing may "
    "be chosen by the test images: train with --set train.validation_share=0.1 for them"
)


def uncertainty(
    run: Run | str | Path,
    *,
    unknowns: str | Path | None = None,
    level: float = 0.95,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Uncertainty:
    """How far a run's probabilities can be trusted: calibration, selective answers, sets of
    classes, and what it says of images that are of no class.

    All that is fitted (temperature, isotonic curve, conformal thresholds, thresholds for the
    unknown) is fitted on validation images and judged on the test images. Where there is no test
    part, each fifth of the validation images is judged by what the other four gave. The result is
    kept in the run's folder as ``uncertainty.json``, its pictures in ``figures``, and the curve as
    ``isotonic.json``.

    Args:
        run: a handle or the path of a run folder.
        unknowns: a folder of images, or a data set, that show no class of the run, beside those
            that are drawn; at most 1,000 of them are taken.
        level: the share of sets that are to hold the true class.
        seed: of what is drawn and resampled.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: `level` is out of range.
        RunError: the run folder cannot be used, or was trained on other data.
        DataError: the data set or the unknown images are missing or cannot be read.
        DeviceError: this machine has no such device.
        StorageError: the run's folder cannot be written.
    """
    if not 0 < level < 1:
        raise ConfigError(
            "the share of sets that hold the true class is out of range",
            got=level,
            allowed="between 0 and 1, such as 0.95",
        )
    run = run if isinstance(run, Run) else Run(run)
    dataset = load_dataset(run.recipe.data, run.recipe.photos, progress=progress)
    part = run.judged
    split = judged_images(run, dataset, part)  # refuses other data
    notes = [NO_TEST_PART] if part == "validation" else []
    brought = []
    if unknowns is not None:
        found, more = _read(run, unknowns, seed, progress=progress)
        brought.append(found)
        notes += more
    if not run.has_predictions(part):
        evaluate(run, device=device)
    judged = run.predictions(part)
    calibration = calibration_of(run)
    held_out = None if calibration is None else run.predictions("validation")
    if held_out is None:
        notes.append(_NOTHING_HELD_OUT)
    probabilities, served, said = score_probabilities(run, judged, held_out, calibration, seed=seed)
    selective = tuple(
        risk_coverage(name, sureness, judged.correct, seed=seed)
        for name, sureness in sureness_of(served.probs).items()
    )
    temperature = None if calibration is None else calibration.temperature
    learned = _learned(run, dataset, seed)
    known = some(split, MOST_KNOWN, seed)
    held_images = None
    if held_out is not None and part != "validation":
        held_images = some(judged_images(run, dataset, "validation"), MOST_KNOWN, seed)
    card = run.card
    drawn = drawn_unknowns(
        card.image_shape, card.background, learned.images, count=DRAWN, seed=seed
    )
    detectors, detections, examples = separate(
        Predictor.of_run(run, device=device),
        learned,
        held_images,
        known,
        [*drawn, *brought],
        temperature=temperature,
        seed=seed,
        progress=progress,
    )
    sets = judge_sets(judged, held_out, calibration, level, cross_fitted=part == "validation")
    if sets and (broken := broken_promise(sets[0], part)):
        notes.append(broken)
    result = Uncertainty(
        run=run.name,
        part=part,
        images=len(judged),
        held_out=0 if held_out is None else len(held_out),
        temperature=temperature,
        level=level,
        notes=(*notes, *said),
        probabilities=probabilities,
        selective=selective,
        conformal=sets,
        detectors=detectors,
        detections=detections,
        known=len(known),
    )
    result.save(run)
    pictures = uncertainty_pictures(result, examples)
    with progress_bar("pictures", len(pictures), show=progress) as bar:
        for done, picture in enumerate(pictures, start=1):
            picture.save(run.path / "figures")
            bar.update(done, picture.key)
    return result


def _learned(run: Run, dataset: Dataset, seed: int) -> ImageSplit:
    """At most 5,000 of the images that the run was trained on."""
    share = run.recipe.train.validation_share
    positions, _ = validation_of(dataset, size=share, seed=run.recipe.split_seed)
    drawn = np.random.default_rng(seed).permutation(len(positions))[:MOST_TRAINING]
    return dataset.train.take(positions[np.sort(drawn)])


def _read(
    run: Run, unknowns: str | Path, seed: int, *, progress: bool
) -> tuple[UnknownImages, list[str]]:
    with progress_bar("unknown images", 1, show=progress) as bar:
        return read_unknowns(
            unknowns,
            run,
            most=DRAWN,
            seed=seed,
            on_done=lambda done, total: bar.update(done / total, f"{done:,} of {total:,} images"),
        )
