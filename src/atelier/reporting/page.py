"""One self-contained HTML file: what was trained, how good it is, where it fails, how to repeat it.

The file asks nothing of a network: pictures and style are inside it, there is no script, and its
content security policy forbids both. Everything that comes from data is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..drawing.pages import page_template
from ..errors import RunError
from ..evaluation import NO_TEST_PART, Comparison, Evaluation
from ..evaluation.tables import percent, percent_range
from ..predictions import Predictions
from ..storage import write_text
from .gallery import surest_errors
from .pictures import data_pictures, overview_pictures, run_pictures
from .subjects import DatasetLike, ReportEntry, predicted_files


def write_report(
    entries: Sequence[ReportEntry],
    path: str | Path,
    *,
    dataset: DatasetLike,
    comparison: Comparison | None = None,
    figure_folders: Sequence[str | Path] | None = None,
) -> Path:
    """Write the report of one or several runs, whole or not at all, over what is at `path`.

    Args:
        entries: at least one run with its predictions.
        path: the HTML file.
        dataset: what the runs were trained and tested on.
        comparison: of the same runs, where there are several.
        figure_folders: for each entry, where its pictures go as PNG files too, drawn but once.

    Returns:
        The path.

    Raises:
        RunError: there is no run, or the predictions are not of the images that this data set is
            judged by.
        StorageError: no space or no permission.
    """
    if not entries:
        raise RunError("there is no run to report on", fix="Name at least one run folder")
    names = _distinct_names([entry.run.name for entry in entries])
    named = dict(zip(names, entries, strict=True))
    sections = [_run_section(name, entry, dataset) for name, entry in named.items()]
    for section, folder in zip(sections, figure_folders or (), strict=False):
        for picture in section["pictures"]:
            picture.save(folder)
    page = page_template(Path(__file__).parent / "templates", "report.html.j2").render(
        title=f"{dataset.name}: {', '.join(names[:4])}{' and more' if len(names) > 4 else ''}",
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        summary=_summary(named, dataset, comparison),
        comparison=comparison,
        overview=overview_pictures(named, comparison),
        runs=sections,
        data_facts=_data_facts(dataset),
        data_notes=dataset.photos.notes if dataset.photos else (),
        data=data_pictures(dataset),
        commands=[(name, entry.run.command) for name, entry in named.items()],
        environments=_environments(named),
    )
    path = Path(path)
    write_text(path, page)
    return path


def save_figures(entry: ReportEntry, folder: str | Path, *, dataset: DatasetLike) -> list[Path]:
    """Write one run's pictures as PNG files into `folder`, each whole or not at all.

    Raises:
        RunError: the predictions are not of the images that this data set is judged by.
        StorageError: no space or no permission.
    """
    return [picture.save(folder) for picture in run_pictures(entry.run.name, entry, dataset)]


def _distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were there before."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def _summary(
    named: Mapping[str, ReportEntry], dataset: DatasetLike, comparison: Comparison | None
) -> list[str]:
    part, judged = dataset.judged
    runs = f"{len(named)} run{'s' * (len(named) > 1)} on {dataset.name}"
    n, k = f"{len(judged.labels):,}", len(dataset.classes)
    lines = [
        f"{runs}, tested on {n} images of {k} classes that took no part in training."
        if part == "test"
        else f"{runs}, judged by {n} validation images of {k} classes; {NO_TEST_PART}."
    ]
    if comparison is not None and len(comparison.rows) > 1:
        best = comparison.rows[0]
        seeds = f"mean of {len(best.seeds)} seeds" if len(best.seeds) > 1 else "one seed"
        lines.append(
            f"The highest accuracy is that of {best.name}: {percent(best.accuracy)} ({seeds})."
        )
    return lines + [_in_words(name, entry.evaluation) for name, entry in named.items()]


def _in_words(name: str, result: Evaluation) -> str:
    if result.uneven:
        text = (
            f"{name} is right on {percent(result.balanced_accuracy)} of a class on average "
            f"(balanced accuracy; 95 % interval over images "
            f"{percent_range(result.balanced_interval)}, other seeds not covered), and on "
            f"{percent(result.accuracy)} of the {result.images} ("
            f"{percent_range(result.interval)}): classes have different numbers of images."
        )
    else:
        text = (
            f"{name} is right on {percent(result.accuracy)} of the {result.images} (95 % interval "
            f"over images {percent_range(result.interval)}, other seeds not covered)."
        )
    scored = [row for row in result.per_class if not np.isnan(row.f1)]
    hardest = min(scored, key=lambda row: row.f1)
    text += f" Its hardest class is {hardest.name} (F1 {percent(hardest.f1, 1)})."
    if result.top_confusions:
        top = result.top_confusions[0]
        text += (
            f" Its most frequent error: {top.true} called {top.predicted}, {top.count:,} "
            f"image{'s' * (top.count > 1)}, {percent(top.share, 1)} of that class."
        )
    return text


def _run_section(name: str, entry: ReportEntry, dataset: DatasetLike) -> dict[str, Any]:
    return {
        "name": name,
        "words": _in_words(name, entry.evaluation),
        "facts": _run_facts(entry),
        "pictures": run_pictures(name, entry, dataset),
        "class_table": entry.evaluation.class_table(),
        "confusion_table": entry.evaluation.confusion_table(),
        "error_table": _error_table(entry.predictions, dataset),
    }


def _error_table(
    predictions: Predictions, dataset: DatasetLike
) -> tuple[list[str], list[list[str]]]:
    """The files behind the picture of the worst errors; empty where the images are no files."""
    header = ["file", "label", "called", "probability"]
    files = predicted_files(dataset, predictions)
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


def _run_facts(entry: ReportEntry) -> list[tuple[str, str]]:
    metrics, result = entry.run.metrics, entry.evaluation
    facts = [
        ("balanced accuracy", percent(result.balanced_accuracy)),
        ("macro F1", percent(result.macro_f1)),
        ("negative log-likelihood", f"{result.nll:.4f} nats"),
        ("calibration error (ECE)", percent(result.ece)),
    ]
    if result.calibrated is not None:
        facts += [
            ("ECE, calibrated", percent(result.calibrated.ece)),
            ("temperature", f"{result.calibrated.temperature:.3f}"),
        ]
    facts += [
        (f"surest images, {percent(error, 0)} wrong", percent(part, 1))
        for error, part in result.coverage.items()
    ]
    formats = {
        "best_validation_accuracy": ("best validation accuracy", "{:.2%}"),
        "parameters": ("parameters", "{:,}"),
        "multiply_adds": ("multiply-adds per image", "{:,}"),
        "train_images": ("training images", "{:,}"),
        "num_epochs": ("epochs", "{:,}"),
        "best_epoch": ("best epoch", "{:,}"),
        "train_seconds": ("training time", "{:,.0f} s"),
    }
    for key, (label, form) in formats.items():
        if isinstance(value := metrics.get(key), int | float):
            facts.append((label, form.format(value).replace("%", " %")))
    return facts


def _data_facts(dataset: DatasetLike) -> list[tuple[str, str]]:
    channels, height, width = dataset.train.images.shape[1:]
    judged = dataset.judged
    return [
        (
            "training images" + ", validation included" * (dataset.validation is None),
            f"{len(dataset.train.labels):,}",
        ),
        *(
            (f"{part} images", f"{len(split.labels):,}")
            for part, split in {"validation": dataset.validation, judged[0]: judged[1]}.items()
            if split is not None
        ),
        ("classes", f"{len(dataset.classes)}"),
        ("image size", f"{width} x {height}, {channels} channel{'s' * (channels > 1)}"),
        ("fingerprint (SHA-256)", dataset.fingerprint),
    ]


def _environments(named: Mapping[str, ReportEntry]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each different environment once, with the names of its runs."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, entry in named.items():
        groups.setdefault(tuple(_flat(entry.run.environment)), []).append(name)
    return [(", ".join(names), list(items)) for items, names in groups.items()]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            rows.append((f"{prefix}{key}", ", ".join(map(str, value))))
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
