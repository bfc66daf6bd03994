"""One self-contained HTML file: what was trained, how good it is, where it fails, how to repeat it.

The file asks nothing of a network: pictures and style are inside it, there is no script, and its
content security policy forbids both. Everything that comes from data is escaped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..drawing.pages import page_template
from ..errors import RunError
from ..evaluation import Comparison
from ..storage import write_text
from .findings import Finding
from .pictures import run_pictures
from .sections import Section
from .subjects import DatasetLike, ReportEntry, Subject
from .topics.calibration import calibration_section
from .topics.classes import classes_section
from .topics.comparison import comparison_section
from .topics.confusion import confusion_section
from .topics.data import data_section
from .topics.errors import errors_section
from .topics.reproduction import reproduction_section
from .topics.summary import summary_section
from .topics.training import training_section


def write_report(
    entries: Sequence[ReportEntry],
    path: str | Path,
    *,
    dataset: DatasetLike,
    comparison: Comparison | None = None,
    findings: Sequence[Finding] = (),
    figure_folders: Sequence[str | Path] | None = None,
) -> Path:
    """Write the report of one or several runs, whole or not at all, over what is at `path`.

    Args:
        entries: at least one run with its predictions.
        path: the HTML file.
        dataset: what the runs were trained and tested on.
        comparison: of the same runs, where there are several.
        findings: of the other verbs, in the order in which they are shown.
        figure_folders: for each entry, where its pictures go as files too, drawn but once.

    Returns:
        The path.

    Raises:
        RunError: there is no run, or the predictions are not of the images that this data set is
            judged by.
        StorageError: no space or no permission.
    """
    if not entries:
        raise RunError("there is no run to report on", fix="Name at least one run folder")
    named = dict(zip(distinct_names([entry.run.name for entry in entries]), entries, strict=True))
    subject = Subject(dataset, named, comparison)
    sections = _sections(subject, findings)
    for own, folder in zip(subject.pictures.values(), figure_folders or (), strict=False):
        for picture in own.values():
            picture.save(folder)
    names = list(named)
    page = page_template(Path(__file__).parent / "templates", "report.html.j2").render(
        title=f"{dataset.name}: {', '.join(names[:4])}{' and more' if len(names) > 4 else ''}",
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        sections=sections,
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


def distinct_names(names: Sequence[str]) -> list[str]:
    """The names, with a number behind those that were there before."""
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return result


def _sections(subject: Subject, findings: Sequence[Finding]) -> list[Section]:
    """Everything in the order in which it is read."""
    own = {finding.section.key: finding for finding in findings}
    uncertainty = own.pop("uncertainty", None)
    sections = [
        summary_section(subject, [line for finding in findings for line in finding.sentences]),
        comparison_section(subject),
        training_section(subject),
        confusion_section(subject),
        classes_section(subject),
        errors_section(subject),
        calibration_section(subject),
        None if uncertainty is None else uncertainty.section,
        data_section(subject),
        *(finding.section for finding in own.values()),
        reproduction_section(subject),
    ]
    return [section for section in sections if section is not None]
