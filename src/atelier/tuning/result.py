"""What a study found, as text, as JSON, and read back."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ..config import Recipe
from ..errors import ConfigError, RunError
from ..evaluation.significance import seed_interval
from ..evaluation.tables import ABSENT, percent, percent_range, text_table
from ..runs import read_json
from ..storage import write_json

_FORMAT_VERSION = 1
_SHOWN = 5
_FILE = "tuning.json"
BEST = "best.json"


@dataclass(frozen=True)
class Trial:
    """One training of the search.

    Attributes:
        number: from 0; the first is the recipe itself, as far as the ranges hold its values.
        state: complete, pruned (stopped early), failed (its process died, or it was stopped; then
            it was tried again), or running in another process.
        accuracy: on validation images; of a pruned trial the last that was measured.
        values: of the searched fields, by path.
        epochs: that were measured.
        seconds: that it took; None where it did not end.
        reason: why it could not be trained to its end, where it could not.
    """

    number: int
    state: Literal["complete", "pruned", "failed", "running"]
    accuracy: float | None
    values: dict[str, Any]
    epochs: int
    seconds: float | None
    reason: str = ""


@dataclass(frozen=True)
class Candidate:
    """Settings that were trained again with other seeds, and so on other splits.

    Attributes:
        name: ``recipe`` for the recipe itself, or ``trial N``.
        values: of the searched fields, by path; empty for the recipe itself.
        searched: validation accuracy in the search; None where the search did not try it.
        accuracies: on validation images, one of each seed.
    """

    name: str
    values: dict[str, Any]
    searched: float | None
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """The mean over the seeds; None without any."""
        return statistics.fmean(self.accuracies) if self.accuracies else None


@dataclass(frozen=True)
class Tuning:
    """What a study found.

    Attributes:
        study: its name.
        recipe: the name of the recipe whose fields were searched.
        data: the data set.
        folder: of the results.
        storage: the address of the database, without its password.
        space: what was searched: path to range or choices.
        trials: all of the study, in the order in which they were begun.
        seeds: that the candidates were trained with.
        candidates: the recipe itself and the best trials; empty without seeds.
        best: the recipe to train, which ``best.json`` holds.
        chosen: the name of the candidate that it comes from.
        importance: the share of the variance that each field explains (fANOVA; Hutter et al. 2014);
            empty where too few trials are complete.
        notes: what a reader should know.
    """

    study: str
    recipe: str
    data: str
    folder: Path
    storage: str
    space: dict[str, str]
    trials: tuple[Trial, ...]
    seeds: tuple[int, ...]
    candidates: tuple[Candidate, ...]
    best: Recipe
    chosen: str
    importance: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> list[Trial]:
        """The trials that were trained to their end, the best first."""
        done = [t for t in self.trials if t.state == "complete"]
        return sorted(done, key=lambda t: (-_sortable(t.accuracy), t.number))

    @property
    def gain(self) -> tuple[float, float, float] | None:
        """By how much the best is better than the recipe itself: the mean of the differences at the
        same seed, and its 95 % interval by Student's t. None where either was not trained again.
        """
        found = {c.name: c.accuracies for c in self.candidates}
        if not self.seeds or self.chosen == "recipe":
            return None
        pairs = zip(found[self.chosen], found["recipe"], strict=True)
        return seed_interval([a - b for a, b in pairs])

    def __str__(self) -> str:
        counts = {
            s: sum(t.state == s for t in self.trials) for s in ("pruned", "failed", "running")
        }
        said = "".join(f", {number} {state}" for state, number in counts.items() if number)
        parts = [
            f"study {self.study}: {len(self.trials)} trials of {self.recipe} on {self.data}{said}",
            "Best of the search, by validation accuracy:\n" + self._search_table(),
        ]
        if self.candidates:
            seeds = ", ".join(map(str, self.seeds))
            parts.append(
                f"Trained again with seeds {seeds}, each with its own split, for the best of many "
                "is partly luck:\n" + self._confirmation_table()
            )
        if self.importance:
            shares = ", ".join(f"{p} {percent(s, 0)}" for p, s in self.importance.items())
            parts.append(f"What the accuracy hangs on (fANOVA): {shares}")
        parts += self.notes
        parts.append(self._verdict())
        return "\n\n".join(parts)

    def _search_table(self) -> str:
        shown = self.complete[:_SHOWN]
        rows = [["accuracy", *(percent(t.accuracy) for t in shown)]]
        rows += [[path, *(short(t.values.get(path)) for t in shown)] for path in self.space]
        return text_table(["", *(f"trial {t.number}" for t in shown)], rows)

    def _confirmation_table(self) -> str:
        rows = []
        for one in sorted(self.candidates, key=lambda c: -_sortable(c.mean)):
            mean, low, high = seed_interval(one.accuracies)
            interval = None if len(one.accuracies) == 1 else (max(0.0, low), min(1.0, high))
            rows.append([one.name, percent(one.searched), percent(mean), percent_range(interval)])
        return text_table(["", "in the search", "mean of seeds", "95 % interval"], rows)

    def _verdict(self) -> str:
        where = self.folder / BEST
        if not self.candidates:
            return f"Best: {self.chosen}, by one seed alone. Saved as {where}"
        if self.chosen == "recipe":
            return f"Nothing was better than the recipe itself. Saved as {where}"
        assert self.gain is not None
        mean, low, high = self.gain
        points = f"{100 * mean:+.2f} points against the recipe itself"
        if low == low:
            points += f" (95 % interval {100 * low:+.2f} to {100 * high:+.2f})"
        return f"Best: {self.chosen}, {points}. Saved as {where}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["folder"] = str(self.folder)
        found["best"] = self.best.model_dump(mode="json")
        found["trials"] = [asdict(trial) for trial in self.trials]
        found["candidates"] = [{**asdict(c), "mean": c.mean} for c in self.candidates]
        found["gain"] = None if self.gain is None else [_number(x) for x in self.gain]
        return {"format_version": _FORMAT_VERSION, **found}

    def save(self) -> None:
        """Write ``tuning.json`` and ``best.json`` into the folder."""
        write_json(self.folder / _FILE, self.to_dict())
        self.best.save(self.folder / BEST)


def load_tuning(folder: str | Path) -> Tuning | None:
    """What `tune` left in `folder`; None where it left nothing.

    Raises:
        RunError: the file is damaged or of another version.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        return None
    values = read_json(path)
    try:
        if values.pop("format_version") != _FORMAT_VERSION:
            raise ValueError("another version")
        del values["gain"]
        values["folder"] = Path(folder)
        values["best"] = Recipe.model_validate_json(json.dumps(values["best"]))
        values["trials"] = tuple(Trial(**row) for row in values["trials"])
        candidates = []
        for row in values["candidates"]:
            del row["mean"]
            candidates.append(Candidate(**{**row, "accuracies": tuple(row["accuracies"])}))
        values["candidates"] = tuple(candidates)
        for name in ("seeds", "notes"):
            values[name] = tuple(values[name])
        return Tuning(**values)
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise RunError(
            f"{path} is damaged or of another version", fix="Run the same `atelier tune` again"
        ) from error


def short(value: Any) -> str:
    """A value of a field, as a table has room for it."""
    if value is None:
        return ABSENT
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _sortable(accuracy: float | None) -> float:
    return -1.0 if accuracy is None else accuracy


def _number(value: float) -> float | None:
    return value if value == value else None
