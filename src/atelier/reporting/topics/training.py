"""How the runs learned."""

from __future__ import annotations

from ...evaluation.tables import ABSENT
from ..pictures import training_picture
from ..sections import Block, Facts, Section, Shown, Table, for_each_run
from ..subjects import ReportEntry, Subject

_COSTS = {
    "best_validation_accuracy": ("best validation accuracy", "{:.2%}"),
    "parameters": ("parameters", "{:,}"),
    "multiply_adds": ("multiply-adds per image", "{:,}"),
    "train_images": ("training images", "{:,}"),
    "validation_images": ("validation images", "{:,}"),
    "num_epochs": ("epochs", "{:,}"),
    "kept_epoch": ("kept epoch", "{:,}"),
    "train_seconds": ("training time", "{:,.1f} s"),
}


def training_section(subject: Subject) -> Section | None:
    """Curves, costs, and what augmentation showed the networks."""
    many = len(subject.entries) > 1
    common: list[Block] = []
    histories = {name: entry.run.history for name, entry in subject.entries.items()}
    if histories := {name: history for name, history in histories.items() if history}:
        common.append(Shown(training_picture(histories)))
    facts = {name: dict(training_facts(entry)) for name, entry in subject.entries.items()}
    labels = [label for label, _ in _COSTS.values() if any(label in own for own in facts.values())]
    if labels and many:
        rows = [[label, *(own.get(label, ABSENT) for own in facts.values())] for label in labels]
        common.append(Table("What the training took", ["", *facts], rows))
    elif labels:
        common.append(Facts([item for own in facts.values() for item in own.items()]))
    runs: dict[str, list[Block]] = {
        name: [Shown(own["augmented_samples"])] if "augmented_samples" in own else []
        for name, own in subject.pictures.items()
    }
    return for_each_run("training", "Training", runs, best=subject.best, blocks=common)


def training_facts(entry: ReportEntry) -> list[tuple[str, str]]:
    """What the training came to and what it took, as far as it is known."""
    metrics = entry.run.metrics
    return [
        (label, form.format(value).replace("%", " %"))
        for key, (label, form) in _COSTS.items()
        if isinstance(value := metrics.get(key), int | float) and not isinstance(value, bool)
    ]
