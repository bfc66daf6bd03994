"""`tune`: search, train the best again with other seeds, and save the winner."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Recipe
from ..data import obtain_dataset
from ..devices import resolve_device
from ..errors import ConfigError, RunError
from ..extras import require
from ..runs import Run
from ..storage import exclusive
from ..tracking import Tracker, following
from ..training import resolve_recipe
from .confirmation import OWN, Contender, confirm, contenders_of, judged
from .result import Candidate, Trial, Tuning
from .space import Space, read_space, starting_point

if TYPE_CHECKING:
    from optuna.study import Study

    from .search import Search
    from .study import Pruner

_TRIALS = 30
_HELD_OUT = 1 / 12  # as of `TrainConfig.validation_share`, where a recipe holds nothing out
_FEWEST_FOR_IMPORTANCE = 8


def tune(
    recipe: str | Recipe,
    *,
    data: str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    search: Sequence[str] = (),
    space: str | Path | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    pruner: Pruner = "median",
    top: int = 3,
    seeds: int = 3,
    storage: str | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    track: str | Tracker | None = None,
) -> Tuning:
    """Search the settings of a recipe by their accuracy on validation images.

    The first trial is the recipe itself. The others are chosen by a tree-structured Parzen
    estimator, and those that do badly are stopped early. Because the best of many trials is partly
    lucky, the best few are trained again, with other seeds and so other validation images, beside
    the recipe itself, and the one with the best mean of these wins. The test images are not looked
    at. Called again with the same name it goes on, and several processes may share a storage.

    Args:
        recipe: a name, the ``.json`` file of a saved recipe, or a `Recipe`. One that holds no
            images out (``train.validation_share=0``) is searched with a twelfth held out.
        data: a data set's name or folder; None is the recipe's own.
        seed: of the sampler and of all trials; None is the recipe's.
        overrides: ``path=value`` strings for all trials.
        search: ``path=spec`` strings, where the spec is a range such as ``1e-4..1e-1:log``,
            ``0..0.5`` or ``0..8:2``, or choices such as ``none,random``; none at all, and no
            `space`, is what is worth searching in nearly every recipe.
        space: a JSON file of such paths and specs.
        trials: the most in the study, those of earlier calls included; None is 30, or no limit
            where `minutes` is given.
        minutes: the most for this call, training the best again included, as far as can be
            foreseen; the training that runs then is finished.
        pruner: ``median``, ``hyperband`` or ``none``.
        top: trials to train again.
        seeds: to train them with; 0 believes the search.
        storage: ``sqlite:///FILE`` or ``postgresql+psycopg://...``; None is a file in `out`.
        name: of the study; None is ``RECIPE-DATA``.
        out: the folder of the results; None is ``runs/tune/NAME``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.
        track: ``mlflow`` or ``mlflow:URI``: where all the trainings are shown, in an experiment
            with the study's name.

    Raises:
        ConfigError: an unknown recipe, field, value or option.
        DataError: the data set is missing or corrupt.
        RunError: the study was begun with another recipe or space, or no trial came to its end.
        DeviceError: this machine has no such device.
        StorageError: no space, no permission, or a database that cannot be used.
        ExtraError: optuna is not installed.
    """
    require("optuna")
    # They import it.
    from . import study as studies
    from .pictures import tuning_pictures
    from .search import Budget, Search

    _refuse_odd(trials, minutes, pruner, top, seeds)
    asked = resolve_recipe(recipe, data=data, seed=seed, overrides=overrides)
    searched, notes = _with_validation(asked)
    # The training applies them again: the last one counts.
    overrides = [*overrides, f"train.validation_share={searched.train.validation_share}"]
    dimensions = read_space(searched, search, space)
    resolve_device(device)
    dataset = obtain_dataset(asked.data, asked.photos, progress=progress)
    name = name or f"{asked.name.replace('/', '-')}-{dataset.name}"
    folder = Path(out) if out is not None else Path("runs/tune") / name
    url = storage or f"sqlite:///{folder / 'study.db'}"
    opened = studies.open_study(
        url, name, seed=asked.seed, pruner=pruner, num_epochs=searched.train.num_epochs
    )
    _refuse_other(opened, searched, dimensions)
    if not opened.trials:
        opened.enqueue_trial(starting_point(searched, dimensions))
    with following(track, experiment=name) as tracker:
        work = Search(
            study=opened,
            recipe=searched,
            overrides=tuple(overrides),
            space=dimensions,
            folder=folder,
            device=device,
            budget=Budget(
                trials if trials is not None else _TRIALS if minutes is None else None,
                None if minutes is None else 60 * minutes,
                confirming=(top + 1) * seeds,
            ),
            tracker=tracker,
        )
        work.run(progress=progress)
        # Of several processes on one storage, the others find the runs of the first.
        with exclusive(folder / "confirming.lock", "another process that trains the best again"):
            used = tuple(range(asked.seed + 1, asked.seed + 1 + seeds))
            result = _concluded(work, asked, used, top=top, progress=progress)
            result = replace(
                result, storage=studies.shown(url), notes=(*notes, *_reasons(work.trials))
            )
            result.save()
            for picture in tuning_pictures(result):
                picture.save(folder / "figures")
    return result


def _concluded(
    work: Search, asked: Recipe, seeds: tuple[int, ...], *, top: int, progress: bool
) -> Tuning:
    trials = work.trials
    ranked = sorted(
        (t for t in trials if t.state == "complete"), key=lambda t: (-(t.accuracy or 0), t.number)
    )
    if not ranked:
        reasons = [t.reason for t in trials if t.reason]
        raise RunError(
            "no trial came to its end" + (f": {reasons[0]}" if reasons else ""),
            fix="Narrow the ranges, or allow more trials or minutes",
        )
    contenders = contenders_of(work.recipe, ranked, top)
    candidates: tuple[Candidate, ...] = ()
    if seeds:
        runs = confirm(
            contenders,
            seeds,
            work.folder / "confirmed",
            overrides=work.overrides,
            device=work.device,
            progress=progress,
            track=work.tracker,
        )
        candidates = judged(contenders, runs)
        winner = max(candidates, key=lambda c: c.mean or 0.0).name
    else:
        winner = next(c.name for c in contenders if c.trial is ranked[0])
    chosen = next(c for c in contenders if c.name == winner)
    if work.recipe.plan:  # a plan would change what was found
        run = runs[winner][0] if seeds else Run(work.path_of(ranked[0].number))
        chosen = replace(chosen, recipe=run.recipe)
    return Tuning(
        study=work.study.study_name,
        recipe=asked.name,
        data=asked.data,
        folder=work.folder,
        storage="",
        space={d.path: str(d) for d in work.space},
        trials=trials,
        seeds=seeds,
        candidates=candidates,
        best=_best(asked, chosen),
        chosen=winner,
        importance=_importance(work.study, work.space, asked.seed),
    )


def _best(asked: Recipe, chosen: Contender) -> Recipe:
    """The recipe to save: what was held out for the search alone is learned from again."""
    if chosen.name == OWN:
        return asked
    share = {"train.validation_share": asked.train.validation_share}
    named = {"name": f"{asked.name.replace('/', '-')}-tuned", "seed": asked.seed}
    return chosen.recipe.changed(share).model_copy(update=named)


def _refuse_odd(
    trials: int | None, minutes: float | None, pruner: str, top: int, seeds: int
) -> None:
    from .study import PRUNERS

    if trials is not None and trials < 1:
        raise ConfigError("the number of trials is out of range", got=trials, allowed="1 or more")
    if minutes is not None and not 0 < minutes < math.inf:
        raise ConfigError("the minutes are out of range", got=minutes, allowed="more than 0")
    if pruner not in PRUNERS:
        raise ConfigError("unknown pruner", got=pruner, allowed=PRUNERS)
    if top < 1:
        raise ConfigError("the trials to train again are out of range", got=top, allowed="1 up")
    if seeds < 0:
        raise ConfigError("the number of seeds is out of range", got=seeds, allowed="0 or more")


def _with_validation(recipe: Recipe) -> tuple[Recipe, list[str]]:
    if recipe.train.validation_share:
        return recipe, []
    note = (
        f"{recipe.name} holds no images out: the search held out a twelfth of the training images, "
        "and the saved recipe learns from all of them again"
    )
    return recipe.changed({"train.validation_share": _HELD_OUT}), [note]


def _refuse_other(study: Study, recipe: Recipe, space: Space) -> None:
    """Trials of different recipes cannot be compared."""
    begun = {
        "recipe": recipe.model_dump(mode="json"),
        "space": {d.path: str(d) for d in space},
    }
    for key, value in begun.items():
        known = study.user_attrs.get(key)
        if known is None:
            study.set_user_attr(key, value)
        elif known != json.loads(json.dumps(value)):
            raise RunError(
                f"the study {study.study_name} was begun with another {key}",
                fix="Choose another name with --name, or repeat the command that began it",
            )


def _reasons(trials: Sequence[Trial]) -> list[str]:
    reasons = [t.reason for t in trials if t.reason]
    if not reasons:
        return []
    return [f"{len(reasons)} of the trials could not be trained; the first: {reasons[0]}"]


def _importance(study: Study, space: Space, seed: int) -> dict[str, float]:
    """By path, the most important first."""
    import optuna

    done = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    if len(done) < _FEWEST_FOR_IMPORTANCE or len({t.value for t in done}) < 2:
        return {}
    found = optuna.importance.get_param_importances(
        study,
        evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed),
        params=[d.path for d in space],
    )
    return dict(sorted(found.items(), key=lambda item: -item[1]))
