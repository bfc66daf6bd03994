"""`report`: from run folders to one HTML file and their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from ..config import AugmentConfig
from ..data import Dataset, load_dataset
from ..data.augment import Augmenter
from ..data.batches import Normalizer
from ..data.mixing import Mixing
from ..errors import RunError
from ..evaluation import Comparison, calibration_of, evaluate, judged_images
from ..progress import progress_bar
from ..runs import Run, refuse_other_data
from ..storage import refuse_existing
from ..sweeps import compare_runs, judged_part
from .cards import model_card
from .findings import TOPICS, Finding, Look, check_topics, find
from .front_matter import check_license
from .page import distinct_names, write_report
from .pictures import data_pictures
from .subjects import ReportEntry, Subject

_AUGMENTED_IMAGES, _VARIANTS = 4, 6


def report(
    runs: Sequence[Run | str | Path],
    out: str | Path = "report.html",
    *,
    overwrite: bool = False,
    comparison: Comparison | None = None,
    quick: bool = False,
    without: Sequence[str] = (),
    license: str | None = None,
    device: str = "auto",
    progress: bool = True,
) -> Path:
    """Write one self-contained HTML file, and each run's pictures into its folder ``figures`` and
    its model card into ``README.md``.

    Runs that were not evaluated yet are evaluated; two recipes or more are compared. What other
    verbs have kept in the run folders is shown as it is; the rest is looked at on a sample, the
    costly topics for the best run alone.

    Args:
        runs: handles or paths of run folders, all on the same data.
        out: the HTML file.
        overwrite: replace what stands at `out`.
        comparison: of these runs, if it has been made already.
        quick: compute nothing that the runs do not have yet, but predictions.
        without: topics to leave out, of `findings.TOPICS`.
        license: of the models, for their cards; None leaves it unspecified.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Returns:
        The path of the file.

    Raises:
        ConfigError: there is no such topic, or `license` is no identifier.
        RunError: a run folder cannot be used, or the runs are not on the same data.
        DataError: the data set is missing or corrupt.
        StorageError: `out` exists, no space, or no permission.
    """
    out = Path(out)
    check_topics(without)
    check_license(license)
    refuse_existing(out, overwrite=overwrite)
    found = [run if isinstance(run, Run) else Run(run) for run in runs]
    if not found:
        raise RunError("there is no run to report on", fix="Name at least one run folder")
    specs = {(run.recipe.data, run.recipe.photos) for run in found}
    if len(specs) > 1:
        raise RunError(
            "a report is about one data set, read in one way",
            got=", ".join(sorted({data for data, _ in specs})),
            fix="Write one report for each",
        )
    dataset = load_dataset(*specs.pop(), progress=progress)
    part = judged_part(found)
    for run in found:
        refuse_other_data(run.path, dataset)
    if part == "validation" and dataset.validation is None:
        dataset = replace(dataset, validation=judged_images(found[0], dataset, part))
    topics = [topic for topic in TOPICS if topic not in without]
    with progress_bar("report", len(found) + len(topics) + 2, show=progress) as bar:
        entries = []
        for done, run in enumerate(found):
            bar.update(done, run.name)
            evaluation = evaluate(run, device=device)
            augmented = _augmented(run, dataset)
            predictions, calibration = run.predictions(part), calibration_of(run)
            if calibration is not None:
                predictions = calibration.apply(predictions)
            entries.append(ReportEntry(run, predictions, evaluation, augmented))
        if comparison is None and len({run.recipe.without_seed() for run in found}) > 1:
            comparison = compare_runs(found, device=device)
        names = distinct_names([run.name for run in found])
        best = Subject(dataset, dict(zip(names, entries, strict=True))).best
        look = Look(dict(zip(names, found, strict=True)), best, dataset, quick, device)
        findings: list[Finding] = []
        for topic in topics:
            bar.update(len(found) + len(findings), topic)
            findings.append(find(topic, look))
        bar.update(len(found) + len(topics), "pictures")
        path = write_report(
            entries,
            out,
            dataset=dataset,
            comparison=comparison,
            findings=findings,
            figure_folders=[run.path / "figures" for run in found],
        )
        bar.update(len(found) + len(topics) + 1, "model cards")
        for run in found:
            model_card(run, license=license, device=device)
        bar.update(len(found) + len(topics) + 2)
    return path


def save_data_figures(dataset: Dataset, folder: str | Path) -> list[Path]:
    """Draw the class balance and samples of each class into `folder`.

    Raises:
        StorageError: no space or no permission.
    """
    return [picture.save(folder) for picture in data_pictures(dataset)]


def augmented_examples(
    images: npt.NDArray[np.uint8],
    config: AugmentConfig,
    *,
    variants: int = _VARIANTS,
    seed: int = 0,
    background: int = 0,
) -> npt.NDArray[np.uint8]:
    """What augmentation makes of some images, to be looked at.

    Args:
        images: (N, C, H, W) uint8.
        config: the augmentation.
        variants: V, draws for each image.
        seed: of the draws.
        background: byte that comes in at the edges, where the augmentation does not reflect them.

    Returns:
        (N, V, C, H, W) uint8.
    """
    channels = images.shape[1]
    # Bytes as floats around the mean, so that what is set to the mean is seen as gray.
    mean, std = [0.5] * channels, [0.25] * channels
    normalize = Normalizer(mean, std, torch.device("cpu"))
    fill = normalize.byte(background).flatten()
    augment = Augmenter(config, fill, len(images), seed, torch.device("cpu"), mean=mean, std=std)
    # One epoch, so that nothing has come to its end.
    mixing = Mixing(config, num_epochs=1) if config.mixes else None
    positions = torch.arange(len(images))
    drawn = []
    for variant in range(variants):
        augment.start_epoch(variant + 1, seed + variant)
        floats = augment(normalize(torch.from_numpy(np.array(images))), positions)
        if mixing is not None:
            mixing.start_epoch(seed + variant)
            floats, _ = mixing(floats, done=0.0)
        drawn.append((floats * 0.25 + 0.5).clamp(0, 1).mul(255).round().byte().numpy())
    return np.stack(drawn, axis=1)


def _augmented(
    run: Run, dataset: Dataset
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    if run.recipe.augment == AugmentConfig():
        return None
    first = [int(np.argmax(dataset.train.labels == k)) for k in range(len(dataset.classes))]
    images = dataset.train.images[first[:: max(1, len(first) // _AUGMENTED_IMAGES)]]
    images = np.array(images[:_AUGMENTED_IMAGES])
    shown = augmented_examples(images, run.recipe.augment, background=run.card.background)
    return images, shown
