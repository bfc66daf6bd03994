"""One self-contained HTML file on drift; as the report of runs, it asks nothing of a network."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from ..drawing.pages import page_template
from ..evaluation.tables import percent, percent_range
from ..storage import write_text
from .estimation import Estimate
from .findings import Drift
from .pictures import drift_pictures
from .reference import Reference
from .shifts import PERMUTATIONS
from .traffic import Traffic


def write_drift_report(
    result: Drift, reference: Reference, traffic: Traffic, path: str | Path
) -> Path:
    """Write the report, whole or not at all, over what is at `path`.

    Args:
        result: of the search.
        reference: what was compared with.
        traffic: what was compared.
        path: the HTML file.

    Returns:
        The path.

    Raises:
        StorageError: no space or no permission.
    """
    page = page_template(Path(__file__).parent / "templates", "drift.html.j2").render(
        title=f"{'Drift' if result.drifted else 'No drift found'}: {result.model}",
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        drift=result,
        items=_facts(result),
        accuracy=_accuracy(result),
        pictures=drift_pictures(result, reference, traffic),
        permutations=f"{PERMUTATIONS:,}",
    )
    path = Path(path)
    write_text(path, page)
    return path


def _facts(result: Drift) -> list[tuple[str, str]]:
    return [
        ("model", result.model),
        ("version", result.version),
        ("predictions", f"{result.predictions:,}"),
        ("from", f"{result.since:%Y-%m-%d %H:%M} UTC"),
        ("to", f"{result.until:%Y-%m-%d %H:%M} UTC"),
        ("reference", result.reference),
        ("answered with unknown", percent(result.unknown, 1)),
        ("missing in the log", f"{result.lost:,}"),
    ]


def _accuracy(result: Drift) -> tuple[list[str], list[list[str]]]:
    found = result.accuracy
    rows = [
        _row("reference, known", result.accuracy_before, "the labels of the held-out images"),
        _row("by confidences", found.by_confidence, "the model is as honest as it was"),
        _row("by confident answers", found.by_threshold, "confident answers are as often right"),
        _row("by shares of classes", found.by_classes, "images of one class look as they did"),
    ]
    if result.live is not None:
        said = f"what users said of {result.live.answers:,} answers"
        rows.append(_row("live, by feedback", result.live.accuracy, said))
    return ["how", "accuracy", "95 % interval", "holds by or if"], rows


def _row(name: str, found: Estimate, basis: str) -> list[str]:
    return [name, percent(found.value, 1), percent_range((found.low, found.high), 1), basis]
