"""What the runs get wrong, one by one and together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ...evaluation.tables import percent
from ...predictions import Predictions
from ..gallery import surest_errors
from ..pictures import shared_errors_picture
from ..sections import Block, Section, Shown, Table, Words, for_each_run
from ..subjects import Subject, predicted_files, predicted_images


def errors_section(subject: Subject) -> Section | None:
    """Errors that all runs share, then the surest of each run, then answers drawn at random."""
    runs: dict[str, list[Block]] = {}
    for name, entry in subject.entries.items():
        own = subject.pictures[name]
        runs[name] = []
        if "worst_errors" in own:
            runs[name].append(Shown(own["worst_errors"]))
            header, rows = _files(subject, entry.predictions)
            if rows:
                runs[name].append(Table("Files of the worst errors", header, rows, folded=True))
        runs[name].append(Shown(own["sample_predictions"]))
    return for_each_run("errors", "Errors", runs, best=subject.best, blocks=_shared(subject))


def shared_errors(subject: Subject) -> tuple[int, int]:
    """How many images every run gets wrong, and how many of them they all call the same."""
    wrong, same = _all_wrong(subject)
    return int(wrong.sum()), int((wrong & same).sum())


def _all_wrong(subject: Subject) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(wrong, same), (N,) bool each: whether every run is wrong, and all say the same."""
    every = [entry.predictions for entry in subject.entries.values()]
    wrong: npt.NDArray[np.bool_] = ~np.any([predictions.correct for predictions in every], axis=0)
    answers = np.array([predictions.predicted for predictions in every])
    same: npt.NDArray[np.bool_] = (answers == answers[0]).all(axis=0)
    return wrong, same


def _shared(subject: Subject) -> list[Block]:
    every = [entry.predictions for entry in subject.entries.values()]
    if len(every) < 2:
        return []
    wrong, same = _all_wrong(subject)
    chosen = np.flatnonzero(wrong & same)
    n = len(wrong)
    text = (
        f"{int(wrong.sum()):,} of {n:,} images ({percent(wrong.mean(), 1)}) are wrong in all "
        f"{len(every)} runs, and {len(chosen):,} of these get the same wrong answer from all."
    )
    if not len(chosen):
        return [Words(text)]
    text += " Where models agree against a label, look at the label first."
    # The mean of the probabilities, as logits: how sure the runs are together.
    probs = np.mean([predictions.probs[chosen] for predictions in every], axis=0)
    together = replace(
        every[0],
        ids=every[0].ids[chosen],
        labels=every[0].labels[chosen],
        logits=np.log(np.maximum(probs, 1e-30)).astype(np.float32),
    )
    images = predicted_images(subject.dataset, every[0], "the first run")[chosen]
    files = predicted_files(subject.dataset, together)
    return [Words(text), Shown(shared_errors_picture(images, together, files))]


def _files(subject: Subject, predictions: Predictions) -> tuple[list[str], list[list[str]]]:
    """The files behind the picture of the worst errors; empty where the images are no files."""
    header = ["file", "label", "called", "probability"]
    files = predicted_files(subject.dataset, predictions)
    if files is None:
        return header, []
    probs, names = predictions.probs, predictions.classes
    return header, [
        [
            files[row],
            names[predictions.labels[row]],
            names[probs[row].argmax()],
            percent(probs[row].max(), 1),
        ]
        for row in surest_errors(predictions)
    ]
