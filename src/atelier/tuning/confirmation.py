"""The best few of a search, trained again with other seeds beside the recipe itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Recipe
from ..progress import progress_bar
from ..runs import Run
from ..sweeps import train_if_missing
from ..tracking import Tracker
from .result import Candidate, Trial

OWN = "recipe"


@dataclass(frozen=True)
class Contender:
    """Settings that may win: the recipe that they give, and the trial that found them, if any."""

    name: str
    recipe: Recipe
    values: dict[str, Any]
    trial: Trial | None


def contenders_of(recipe: Recipe, ranked: Sequence[Trial], top: int) -> list[Contender]:
    """The recipe itself, and the best `top` trials with other settings.

    Args:
        recipe: that was searched.
        ranked: complete trials, the best first.
        top: the most to take.
    """
    found: list[Contender] = []
    own = next((t for t in ranked if recipe.changed(t.values) == recipe), None)
    found.append(Contender(OWN, recipe, {}, own))
    for trial in ranked:
        changed = recipe.changed(trial.values)
        if len(found) <= top and all(changed != other.recipe for other in found):
            found.append(Contender(f"trial {trial.number}", changed, trial.values, trial))
    return found


def confirm(
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    folder: Path,
    *,
    overrides: Sequence[str],
    device: str,
    progress: bool,
    track: Tracker,
) -> dict[str, list[Run]]:
    """The runs of each contender, one for each seed; what `folder` has of them is taken.

    Raises:
        KeyboardInterrupt: a training was stopped; the next call goes on with it.
    """
    runs: dict[str, list[Run]] = {one.name: [] for one in contenders}
    jobs = [(one, seed) for one in contenders for seed in seeds]
    with progress_bar("train the best again", len(jobs), show=progress) as bar:
        for done, (one, seed) in enumerate(jobs):
            note = f"{one.name}, seed {seed}"

            def on_epoch(
                _: Path,
                rows: list[dict[str, Any]],
                *,
                epochs: int = one.recipe.train.num_epochs,
                done: int = done,
                note: str = note,
            ) -> None:
                # A plan may have set more epochs.
                bar.update(min(done + len(rows) / epochs, done + 1), note)

            named = {"name": one.name.replace(" ", "-"), "seed": seed}
            changes = [f"{path}={json.dumps(value)}" for path, value in one.values.items()]
            run = train_if_missing(
                one.recipe.model_copy(update=named),
                [*overrides, *changes],
                folder,
                device,
                progress=False,
                title=note,
                on_epoch=on_epoch,
                track=track,
            )
            runs[one.name].append(run)
            bar.update(done + 1, note)
    return runs


def judged(contenders: Sequence[Contender], runs: dict[str, list[Run]]) -> tuple[Candidate, ...]:
    """What the runs say about each contender."""
    return tuple(
        Candidate(
            one.name,
            one.values,
            None if one.trial is None else one.trial.accuracy,
            tuple(float(run.metrics["best_validation_accuracy"]) for run in runs[one.name]),
        )
        for one in contenders
    )
