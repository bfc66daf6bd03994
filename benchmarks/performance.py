"""The measurements in words: Markdown for the terminal and for the README, from nothing else."""

from __future__ import annotations

import itertools
import re
import shlex
import statistics
from collections.abc import Iterator, Sequence

from atelier.evaluation import seed_interval
from atelier.evaluation.tables import ABSENT, percent, percent_range

from .measurements import Measurements, PeerRun, RecipeRun
from .peers import PEERS
from .sections import Section

SECTION = Section("performance", "python -m benchmarks.time_to_accuracy --write-readme")

TARGET = 0.91  # what every system is timed to
PLAIN_LOOP = "plain-loop"
# The other recipes stand beside so many epochs of the plain loop, whatever it reaches by then.
PLAIN_EPOCHS = {"fast-93": 4, "fast-94": 9, "fast-95": 60}

_COMMON_GROUND = ("numpy", "pillow")  # pinned for every peer, and not what is compared


def claimed_accuracy(recipe: str) -> float | None:
    """0.93 for ``fast-93``; other recipes claim nothing."""
    found = re.fullmatch(r"fast-(\d\d)", recipe)
    return None if found is None else int(found[1]) / 100


def recipe_names(measurements: Measurements) -> list[str]:
    """The measured recipes, those that claim the least first."""
    names = dict.fromkeys(run.recipe for run in measurements.recipe_runs)
    return sorted(names, key=lambda name: (claimed_accuracy(name) or 0.0, name))


def peer_names(measurements: Measurements) -> list[str]:
    """The measured peers in the order of `PEERS`."""
    return [name for name in PEERS if measurements.of_peer(name)]


def mean_accuracy(runs: Sequence[RecipeRun] | Sequence[PeerRun]) -> float:
    """Over seeds."""
    return statistics.mean(run.test_accuracy for run in runs)


def mean_seconds(runs: Sequence[RecipeRun] | Sequence[PeerRun]) -> float:
    """Over seeds."""
    return statistics.mean(run.seconds for run in runs)


def claim_lines(measurements: Measurements) -> list[str]:
    """For each recipe that claims an accuracy, whether its mean over seeds reaches it."""
    lines = []
    for name in recipe_names(measurements):
        claim, runs = claimed_accuracy(name), measurements.of_recipe(name)
        if claim is not None:
            mean = f"{percent(mean_accuracy(runs))} over {counted(len(runs), 'seed')}"
            lines.append(
                f"{name}: claim {_verdict(claim, runs)}: {mean}, claimed {percent(claim, 0)}"
            )
    return lines


def performance_text(measurements: Measurements, picture: str | None) -> str:
    """The section of the README without its markers.

    Args:
        measurements: what is not in there is not mentioned.
        picture: its address in Markdown, or None for none.
    """
    parts = []
    if measurements.recipe_runs:
        parts.append(
            f"Trained on {measurements.data} ({measurements.train_images:,} training images) by "
            f"`atelier train RECIPE --seed S`. The seconds are those of the whole process, "
            f"start-up and the written run folder included; `atelier evaluate` then judged by the "
            f"{measurements.test_images:,} test images. In brackets the single seeds."
        )
        parts.append(_recipe_table(measurements))
    beside = list(_beside_plain_loop(measurements))
    if beside:
        parts.append("Beside the plain loop of most tutorials:")
        header = ["recipe", "takes", "the plain loop", "takes", "ratio"]
        parts.append(markdown_table(header, beside))
    if measurements.peer_runs:
        parts.append(
            "Each peer ran in a process of its own. Its seconds count from the start of that "
            "process, without those of its evaluations on the test images."
        )
        parts.append(_peer_table(measurements))
    parts.append(_surroundings(measurements))
    if picture is not None:
        parts.append(f"![Test accuracy against seconds of each measured system]({picture})")
    return "\n\n".join(parts)


def machines_text(machines: Sequence[Measurements], picture: str | None) -> str:
    """As `performance_text`, for the measurements of several machines; the picture is the first's.

    Only what was measured on one machine can be compared: each has its own tables.
    """
    texts = [
        performance_text(measurements, picture if number == 0 else None)
        for number, measurements in enumerate(machines)
    ]
    if len(machines) == 1:
        return texts[0]
    return "\n\n".join(
        f"### {measurements.machine['processor']}\n\n{text}"
        for measurements, text in zip(machines, texts, strict=True)
    )


def counted(number: int, noun: str) -> str:
    """``1 epoch`` or ``10 epochs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """``9.8 s`` or ``3,240 s``: three digits or whole seconds."""
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:,.0f} s"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that can be read unrendered as well."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in [header, rule, *rows]
    )


def _verdict(claim: float, runs: Sequence[RecipeRun]) -> str:
    return "held" if mean_accuracy(runs) >= claim else "missed"


def _recipe_table(measurements: Measurements) -> str:
    header = ["recipe", "test accuracy", "95 % over seeds", "standard deviation", "claim"]
    header += ["seconds (min–max)", "parameters"]
    rows = []
    for name in recipe_names(measurements):
        runs, claim = measurements.of_recipe(name), claimed_accuracy(name)
        accuracies = [run.test_accuracy for run in runs]
        seconds = [run.seconds for run in runs]
        single = ", ".join(f"{100 * accuracy:.2f}" for accuracy in accuracies)
        several = len(runs) > 1
        rows.append(
            [
                f"`{name}`",
                f"**{percent(mean_accuracy(runs))}** ({single})",
                percent_range(seed_interval(accuracies)[1:] if several else None),
                f"{100 * statistics.stdev(accuracies):.2f} points" if several else ABSENT,
                ABSENT if claim is None else f"{percent(claim, 0)}: {_verdict(claim, runs)}",
                f"{duration(mean_seconds(runs))} ({min(seconds):.1f}–{max(seconds):.1f})",
                f"{runs[-1].parameters:,}",
            ]
        )
    return markdown_table(header, rows)


def _beside_plain_loop(measurements: Measurements) -> Iterator[list[str]]:
    plain_runs = measurements.of_peer(PLAIN_LOOP)
    if not plain_runs:
        return
    for name in recipe_names(measurements):
        if claimed_accuracy(name) == TARGET:
            what = f"to its first epoch at or over {percent(TARGET, 0)}"
            firsts = [run.first_at(TARGET) for run in plain_runs]
            taken = [None if first is None else first.seconds for first in firsts]
        elif name in PLAIN_EPOCHS:
            epochs = PLAIN_EPOCHS[name]
            what = counted(epochs, "epoch")
            ran = min(len(run.epochs) for run in plain_runs)
            if ran < epochs:
                if ran < 2:
                    continue  # one epoch, which contains the start-up, says nothing of the others
                what += f", extrapolated from its median epoch ({ran} were run)"
            taken = [_seconds_after(run, epochs) for run in plain_runs]
        else:
            continue
        seconds = mean_seconds(measurements.of_recipe(name))
        reached = [value for value in taken if value is not None]
        # A mean over those seeds alone that got there would flatter the plain loop.
        plain = statistics.mean(reached) if len(reached) == len(taken) else None
        yield [
            f"`{name}`",
            duration(seconds),
            what,
            "not reached by every seed" if plain is None else duration(plain),
            ABSENT if plain is None else f"{seconds / plain:.3f}",
        ]


def _seconds_after(run: PeerRun, epochs: int) -> float:
    """Seconds to the end of that epoch; of the epochs that were not run, each the median."""
    ends = [epoch.seconds for epoch in run.epochs]
    if len(ends) >= epochs:
        return ends[epochs - 1]
    median = statistics.median(late - early for early, late in itertools.pairwise(ends))
    return ends[-1] + (epochs - len(ends)) * median


def _peer_table(measurements: Measurements) -> str:
    header = ["peer", "seeds", f"to {percent(TARGET, 0)}", "at its end", "versions"]
    rows = []
    for name in peer_names(measurements):
        runs = measurements.of_peer(name)
        epochs = counted(len(runs[-1].epochs), "epoch")
        firsts = [first for run in runs if (first := run.first_at(TARGET)) is not None]
        if len(firsts) == len(runs):
            to_target = duration(statistics.mean(first.seconds for first in firsts))
            if PEERS[name].has_epochs:
                numbers = ", ".join(str(first.epoch) for first in firsts)
                to_target += f" (epoch {numbers})"
        else:
            best = percent(max(run.best_accuracy for run in runs))
            missed = "" if len(runs) == 1 else f" by {len(runs) - len(firsts)} of {len(runs)}"
            within = f" in {epochs}" if PEERS[name].has_epochs else ""
            to_target = f"not reached{missed}{within}, best {best}"
        at_end = f"{percent(mean_accuracy(runs))} after {duration(mean_seconds(runs))}"
        if PEERS[name].has_epochs:
            at_end += f", {epochs}"
        versions = ", ".join(
            f"{library} {version}"
            for library, version in runs[-1].versions.items()
            if library not in _COMMON_GROUND
        )
        rows.append([PEERS[name].title, str(len(runs)), to_target, at_end, versions])
    return markdown_table(header, rows)


def _surroundings(measurements: Measurements) -> str:
    machine = measurements.machine
    days = [run.finished for run in measurements.recipe_runs]
    days += [run.finished for run in measurements.peer_runs]
    first, last = min(days, default=ABSENT), max(days, default=ABSENT)
    when = first if first == last else f"{first} to {last}"
    where = "" if machine["device"] == "cpu" else f" and {machine['device']}"
    commands = ", ".join(f"`{command}`" for command in measurements.commands)
    return (
        f"Measured in turn on {machine['processor']}{where}, "
        f"{counted(machine['threads'], 'thread')}, Python {machine['python']}, "
        f"torch {machine['torch']}, {when}: {commands}."
    )


def command_line(arguments: Sequence[str]) -> str:
    """How a reader repeats a measurement."""
    return shlex.join(["python", "-m", "benchmarks.time_to_accuracy", *arguments])
