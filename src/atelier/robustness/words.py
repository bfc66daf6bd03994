"""Robustness as text: a table for each question, and sentences for what matters in them."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.tables import (
    ABSENT,
    html_table,
    p_value,
    percent,
    percent_range,
    text_table,
)
from .groups import LOOKS, Group, worst_of
from .result import MirroredClass, RunRobustness

Table = tuple[str, list[str], list[list[str]]]
"""Title, header and rows."""

_SHOWN_CLASSES = 5


def as_text(runs: Sequence[RunRobustness]) -> str:
    """For a terminal."""
    parts = [f"{title}\n{text_table(header, rows)}" for title, header, rows in tables(runs)]
    said = sentences(runs)
    return "\n\n".join([*parts, *(["\n".join(said)] if said else [])])


def as_html(runs: Sequence[RunRobustness]) -> str:
    """For a notebook."""
    import html

    parts = [
        f"<p>{html.escape(title)}</p>{html_table(header, rows)}"
        for title, header, rows in tables(runs)
    ]
    return "".join([*parts, *(f"<p>{html.escape(line)}</p>" for line in sentences(runs))])


def tables(runs: Sequence[RunRobustness]) -> list[Table]:
    """Every table that has rows."""
    found = [_summary(runs)]
    if any(run.corruptions for run in runs):
        found.append(_severities(runs[0]) if len(runs) == 1 else _by_corruption(runs))
    if any(run.attacks for run in runs):
        found.append(_attacks(runs))
    if len(runs) == 1 and runs[0].groups:
        found.append(_groups(runs[0]))
    return found


def sentences(runs: Sequence[RunRobustness]) -> list[str]:
    """What the tables do not say by themselves, of each run."""
    said: list[str] = []
    for run in runs:
        own = [
            line
            for line in (_references(run), _worst_group(run), mirror_sentence(run.mirrored))
            if line
        ]
        before = f"{run.name}: " if len(runs) > 1 else ""
        said += [f"{before}{line}" for line in (*own, *run.notes)]
    return said


def mirror_sentence(classes: Sequence[MirroredClass]) -> str:
    """What a mirror does to the classes; empty where none was measured."""
    if not classes:
        return ""
    worst = sorted(
        (one for one in classes if one.suffers),
        key=lambda one: (one.mirrored - one.upright) / one.n,
    )
    if not worst:
        return "Mirrored, no class is read less often than upright beyond chance."
    told = [
        f"{one.name} {percent(one.upright / one.n, 1)} to {percent(one.mirrored / one.n, 1)}"
        for one in worst[:_SHOWN_CLASSES]
    ]
    more = f" and {len(worst) - _SHOWN_CLASSES} more classes" if len(worst) > _SHOWN_CLASSES else ""
    return (
        f"Mirrored, fewer are read rightly: {', '.join(told)}{more}. So it is where most training "
        "images face one way, as shoes in shops do; augment.mirror=random shows both to a training."
    )


def group_words(group: Group) -> str:
    """A group in a few words: ``class Shirt`` or ``brightness, second quarter``."""
    return f"{group.kind}{', ' if group.kind in LOOKS else ' '}{group.name}"


def _summary(runs: Sequence[RunRobustness]) -> Table:
    title = "\n".join(dict.fromkeys(f"judged by {run.images}, seed {run.seed}" for run in runs))
    header = ["run", "accuracy", "95 % interval", "corrupted", "95 % interval", "mCE", "worst"]
    rows = []
    for run in runs:
        corrupted, worst = run.corrupted, run.worst_corruption
        rows.append(
            [
                run.name,
                percent(run.accuracy, 1),
                percent_range(run.interval, 1),
                percent(None if corrupted is None else corrupted.value, 1),
                percent_range(None if corrupted is None else (corrupted.low, corrupted.high), 1),
                ABSENT if run.mce is None else f"{run.mce.mce.value:.2f}",
                ABSENT if worst is None else f"{worst.name} {percent(worst.mean, 1)}",
            ]
        )
    return title, header, rows


def _severities(run: RunRobustness) -> Table:
    most = max(len(score.right) for score in run.corruptions)
    header = ["corruption", *map(str, range(1, most + 1)), "mean"]
    relative = run.mce.by_corruption if run.mce else {}
    if relative:
        header.append("error / reference's")
    rows = []
    for score in run.corruptions:
        cells = [percent(accuracy, 1) for accuracy in score.accuracies]
        row = [score.name, *cells, *[""] * (most - len(cells)), percent(score.mean, 1)]
        if relative:
            row.append(f"{relative[score.name]:.2f}")
        rows.append(row)
    return "accuracy by severity", header, rows


def _by_corruption(runs: Sequence[RunRobustness]) -> Table:
    names = list(dict.fromkeys(score.name for run in runs for score in run.corruptions))
    scores = [{score.name: score.mean for score in run.corruptions} for run in runs]
    rows = [[name, *(percent(own.get(name), 1) for own in scores)] for name in names]
    return "mean accuracy over the severities", ["corruption", *(run.name for run in runs)], rows


def _attacks(runs: Sequence[RunRobustness]) -> Table:
    shown = [(run, attack) for run in runs for attack in run.attacks]
    radii = sorted({radius for _, attack in shown for radius in attack.radii})
    rows = []
    for run, attack in shown:
        own = dict(zip(attack.radii, attack.accuracies, strict=True))
        clean = percent(run.attacked_right / attack.n, 1)
        named = [run.name] if len(runs) > 1 else []
        rows.append([*named, attack.name, clean, *(percent(own.get(r), 1) for r in radii)])
    named = ["run"] if len(runs) > 1 else []
    ways = "; ".join(dict.fromkeys(f"{a.name}: {a.settings}" for _, a in shown))
    n = ", ".join(dict.fromkeys(f"{attack.n:,}" for _, attack in shown))
    title = f"accuracy under attack, by levels of 255 that a pixel may change, {n} images ({ways})"
    return title, [*named, "attack", "none", *map(str, radii)], rows


def _groups(run: RunRobustness) -> Table:
    rows = [
        [
            group_words(group),
            f"{group.n:,}",
            percent(group.accuracy, 1),
            percent_range(group.interval, 1),
            "too few" if not group.is_rated else p_value(group.p_corrected)[2:].lstrip("= "),
        ]
        for group in run.groups
    ]
    title = (
        f"accuracy by subgroup; p against all other images, corrected for {len(run.groups)} groups "
        "(quarters are of each class)"
    )
    return title, ["subgroup", "n", "accuracy", "95 % interval", "p"], rows


def _references(run: RunRobustness) -> str:
    if run.mce is None:
        return ""
    mce = run.mce.mce
    return (
        f"mCE {mce.value:.2f} ({mce.low:.2f} to {mce.high:.2f}) is the mean corruption error as a "
        f"multiple of that of {run.mce.reference}; of what corruptions add to the error alone it "
        f"is {run.mce.relative:.2f}."
    )


def _worst_group(run: RunRobustness) -> str:
    if not run.groups:
        return ""
    worst = worst_of(run.groups)
    if worst is None:
        return "No subgroup is read less often than the others beyond chance."
    return (
        f"The worst subgroup is {group_words(worst)}: {percent(worst.accuracy, 1)} of {worst.n:,} "
        f"({percent_range(worst.interval, 1)}), {p_value(worst.p_corrected)} after the correction "
        f"for {len(run.groups)} groups."
    )
