"""The search: one trial after another, until the budget is spent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna import TrialPruned
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..config import Recipe
from ..errors import ConfigError, DeviceError, DivergenceError
from ..evaluation.tables import percent
from ..progress import Bar, progress_bar
from ..runs import Run
from ..tracking import Tracker
from ..training import can_resume, train
from .result import Trial
from .space import Space, values_of
from .study import mark_own, try_again

_MOST_RESERVED = 0.5  # of the minutes, for training the best again
_STATES: dict[str, Literal["complete", "pruned", "failed", "running"]] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
}
_CHECKPOINT = "checkpoint.safetensors"


@dataclass
class Budget:
    trials: int | None
    seconds: float | None
    confirming: int
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def spent(self, states: Sequence[FrozenTrial]) -> bool:
        """Whether no further trial may begin."""
        if self.trials is not None and _counted(states) >= self.trials:
            return True
        if self.seconds is None:
            return False
        done = [t.duration.total_seconds() for t in states if _is(t, "COMPLETE") and t.duration]
        again = self.confirming * (sum(done) / len(done) if done else 0.0)
        return self.elapsed >= self.seconds - min(again, _MOST_RESERVED * self.seconds)

    def share(self, states: Sequence[FrozenTrial], running: float) -> float:
        """How much of the search is done, from 0 to 1."""
        shares = [0.0]
        if self.trials is not None:
            # Those that run, here or elsewhere, are counted as half done but for our own.
            shares.append((_counted(states) - 1 + running) / self.trials)
        if self.seconds is not None:
            shares.append(self.elapsed / self.seconds)
        return max(0.0, min(1.0, max(shares)))


@dataclass
class Search:
    study: Study
    recipe: Recipe
    overrides: tuple[str, ...]
    space: Space
    folder: Path
    device: str
    budget: Budget
    tracker: Tracker
    said: set[str] = field(default_factory=set)

    def run(self, *, progress: bool) -> None:
        with progress_bar(f"tune {self.study.study_name}", 1.0, show=progress) as bar:
            while not self.budget.spent(self.study.get_trials(deepcopy=False)):
                self.study.optimize(lambda trial: self._accuracy(trial, bar), n_trials=1)
            bar.update(1.0)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All of the study, those of other processes included, that have begun."""
        found = self.study.get_trials(deepcopy=False)
        return tuple(trial_of(t, self.space) for t in found if not _is(t, "WAITING"))

    def path_of(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / "trials" / f"trial-{number:04d}"

    def _accuracy(self, trial: optuna.Trial, bar: Bar) -> float:
        mark_own(trial)
        values = {d.path: d.suggest(trial) for d in self.space}
        try:
            self.recipe.changed(values)
        except ConfigError as error:  # each value is possible, but not with the others
            trial.set_user_attr("reason", error.problem)
            raise TrialPruned from error
        number = int(trial.user_attrs.get("first", trial.number))
        path = self.path_of(number)
        reported = 0

        def on_epoch(_: Path, rows: list[dict[str, Any]]) -> None:
            nonlocal reported
            for row in rows[reported:]:
                reported += 1
                measured = row.get("validation/accuracy")
                if measured is None:
                    continue
                trial.report(measured, row["epoch"])
                bar.update(*self._progress(trial, row["epoch"]))
                if row["epoch"] < self.recipe.train.num_epochs and trial.should_prune():
                    raise TrialPruned

        bar.update(*self._progress(trial, 0))
        try:
            run = self._train(path, values, on_epoch)
        except TrialPruned:
            (path / _CHECKPOINT).unlink(missing_ok=True)
            raise
        except (DivergenceError, DeviceError) as error:
            # No accuracy at all is the worst one: the sampler learns from it.
            trial.set_user_attr("reason", error.problem)
            (path / _CHECKPOINT).unlink(missing_ok=True)
            raise TrialPruned from error
        except KeyboardInterrupt:
            frozen = self.study.get_trials(deepcopy=False)[trial.number]
            try_again(self.study, frozen)
            raise
        return float(run.metrics["best_validation_accuracy"])

    def _train(
        self,
        path: Path,
        values: dict[str, Any],
        on_epoch: Callable[[Path, list[dict[str, Any]]], None],
    ) -> Run:
        options: dict[str, Any] = {"device": self.device, "progress": False, "on_epoch": on_epoch}
        options |= {"track": self.tracker, "say": self._say}
        if can_resume(path):
            run = train(resume=path, **options)
        else:
            changes = [f"{place}={json.dumps(value)}" for place, value in values.items()]
            run = train(
                self.recipe,
                overrides=[*self.overrides, *changes],
                out=path,
                overwrite=(path / "recipe.json").is_file(),
                **options,
            )
        if run.metrics["interrupted"]:
            raise KeyboardInterrupt
        return run

    def _say(self, line: str) -> None:
        if line not in self.said:  # of all trials the same
            self.said.add(line)
            print(line, file=sys.stderr, flush=True)

    def _progress(self, trial: optuna.Trial, epoch: int) -> tuple[float, str]:
        states = self.study.get_trials(deepcopy=False)
        share = self.budget.share(states, epoch / self.recipe.train.num_epochs)
        done = [t.value for t in states if _is(t, "COMPLETE") and t.value is not None]
        best = f"  best {percent(max(done))}" if done else ""
        return share, f"trial {trial.number}  epoch {epoch}{best}"


def trial_of(frozen: FrozenTrial, space: Space) -> Trial:
    """What is known of a trial."""
    measured = frozen.intermediate_values
    accuracy = frozen.value
    if accuracy is None and measured:
        accuracy = measured[max(measured)]
    return Trial(
        number=frozen.number,
        state=_STATES[frozen.state.name],
        accuracy=accuracy,
        values=values_of(space, frozen.params),
        epochs=max(measured, default=0),
        seconds=None if frozen.duration is None else frozen.duration.total_seconds(),
        reason=str(frozen.user_attrs.get("reason", "")),
    )


def _is(trial: FrozenTrial, state: str) -> bool:
    return trial.state.name == state


def _counted(states: Sequence[FrozenTrial]) -> int:
    """Those that have an answer or will have one."""
    return sum(t.state.name in {"COMPLETE", "PRUNED", "RUNNING"} for t in states)
