"""`train`: from a recipe to a run folder."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from ..config import Recipe
from ..data import obtain_dataset
from ..data.balance import balance_warnings
from ..devices import describe_machine, keep_freed_memory, resolve_device, resolve_precision
from ..errors import ConfigError, DeviceError, RunError
from ..progress import progress_bar
from ..recipes import get_recipe, is_recipe_file
from ..runs import Run, read_card, refuse_other_data
from ..storage import refuse_existing, write_text
from ..tracking import Tracker, following
from ..version import __version__
from .checkpoints import SparingSaver, TrainingState, load_checkpoint, save_checkpoint
from .classical import fit_classical, is_classical
from .layers import Freezing
from .learner import few_labels_notes
from .loop import fit
from .memory import SMALLEST_BATCH, free_memory, is_out_of_memory
from .methods import learner_of
from .optimizers import build_optimizer
from .plan import paths_of, planned
from .preparation import prepare
from .probe import caches_embeddings
from .run_folder import CHECKPOINT, WEIGHTS, begin_run, finish_run, keep_fitted, save_snapshot
from .schedules import ends_of_cycles

Say = Callable[[str], None]
OnEpoch = Callable[[Path, list[dict[str, Any]]], None]
"""Told the run folder and the rows of all epochs so far, once they are saved. What it raises ends
the training, which can be resumed."""

# What torch.compile says on a CPU, and on a GPU; its classes of errors lie in private modules.
_NO_COMPILER = ("No working C++ compiler found", "Failed to find C compiler")


def train(
    recipe: str | Recipe | None = None,
    *,
    data: str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] | list[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: str | Path | None = None,
    device: str = "auto",
    progress: bool = True,
    title: str | None = None,
    init: str | Path | None = None,
    teachers: Sequence[str | Path] = (),
    labels: int | None = None,
    on_epoch: OnEpoch | None = None,
    track: str | Tracker | None = None,
    say: Say | None = None,
) -> Run:
    """Train a recipe and leave a run folder. The test images are not looked at.

    Interrupted by Ctrl-C after its first epoch, it keeps the best weights so far, marks the run as
    interrupted and returns it.

    Args:
        recipe: a name (``atelier train --list`` shows them), the ``.json`` file of a saved recipe,
            or a `Recipe`.
        data: a data set's name or folder; None is the recipe's own, Fashion-MNIST.
        seed: of the split, the weights, the order and the augmentation; None is the recipe's, 0.
        overrides: ``path=value`` strings such as ``train.lr=0.01``.
        out: the run folder; None is ``runs/RECIPE-DATA-sSEED``.
        overwrite: replace what stands at `out`.
        resume: a run folder to go on with; its own recipe decides everything else.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.
        title: of that bar; None is the recipe's name.
        init: a run folder whose weights to start from, as ``train.init``.
        teachers: run folders to learn from beside the labels, as ``method=distillation`` with
            ``method.teachers``.
        labels: how many training images have a label that is looked at, as ``train.labels``.
        on_epoch: called after each epoch with the run folder and the rows of ``metrics.jsonl``;
            what it raises ends the training and leaves a folder that can be resumed.
        track: ``mlflow`` or ``mlflow:URI``: where the run is shown while it is trained, beside its
            folder. One that is slow or down is waited for a minute at the end, and never before.
        say: receives each sentence on what was chosen or left out; standard error by default.

    Raises:
        ConfigError: an unknown recipe, key or value, or a loss that is no longer a number.
        DataError: the data set is missing or corrupt.
        RunError: `resume` names a run that cannot go on, or `init` one that is not finished.
        DeviceError: this machine has no such device, too little memory (a planned recipe halves its
            batch first), or no compiler where one is asked for.
        StorageError: `out` exists, no space, or no permission.
    """
    if track is None or isinstance(track, str):
        arguments = locals()
        with following(track, say=say) as tracker:
            return train(**{**arguments, "track": tracker})
    if resume is not None:
        given = (recipe, data, seed, out, init, teachers or None, labels)
        if overrides or any(value is not None for value in given):
            raise ConfigError(
                "a resumed run goes on with its own recipe, data and seed",
                fix=f"Pass --resume {shlex.quote(str(resume))} alone",
            )
        path = Path(resume)
        resolved = _recipe_to_resume(path)
    else:
        if recipe is None:
            raise ConfigError("train needs a recipe", fix="See `atelier train --list`")
        if init is not None:
            overrides = [*overrides, f"train.init={json.dumps(str(init))}"]
        if labels is not None:
            overrides = [*overrides, f"train.labels={labels}"]
        if teachers:
            named = json.dumps([str(teacher) for teacher in teachers])
            overrides = ["method=distillation", f"method.teachers={named}", *overrides]
        resolved = resolve_recipe(recipe, data=data, seed=seed, overrides=overrides)
        path = Path(out) if out is not None else default_run_path(resolved)
        refuse_existing(path, overwrite=overwrite)

    torch_device = resolve_device(device)
    precision = resolve_precision(resolved.train.precision, torch_device)
    keep_freed_memory()
    dataset = obtain_dataset(resolved.data, resolved.photos, progress=progress)
    asked, by_hand = resolved, paths_of(overrides)
    resolved, notes = planned(
        resolved, dataset, fixed=by_hand, memory_bytes=free_memory(torch_device)
    )
    resumed = None if resume is None else read_card(path)
    prepared = prepare(resolved, dataset, torch_device, resumed=resumed, progress=progress)
    if dataset.photos is not None:
        learned = prepared.batches.labels.cpu().numpy()
        held_out = None if prepared.validation is None else prepared.validation.labels
        warnings = balance_warnings(dataset.classes, learned, held_out)
        notes += [*dataset.photos.notes, *warnings]
    notes += [str(done) for done in dataset.corrected]
    probes = caches_embeddings(resolved)
    if probes and resume is not None:  # a checkpoint has the head alone
        prepared.model.load_state_dict(load_file(path / WEIGHTS))
    # Before anything is written, for it may refuse.
    learner = learner_of(prepared, resolved)
    notes += [*few_labels_notes(prepared, resolved), *learner.notes]
    for note in notes:
        (say or _say)(note)
    environment: dict[str, Any] = {
        "atelier": __version__,
        **describe_machine(torch_device),
        "precision": str(precision).removeprefix("torch."),
        "data_fingerprint": dataset.fingerprint,
        "judged": "validation" if dataset.test is None else "test",
        "notes": notes,
        **(
            {"corrected": [asdict(done) for done in dataset.corrected]} if dataset.corrected else {}
        ),
        **(prepared.start.facts if prepared.start else {}),
    }
    if is_classical(resolved):
        fitted = fit_classical(prepared, resolved, title=title or resolved.name, progress=progress)
        keep_fitted(path, resolved, environment, prepared, fitted)
        track.update(path)
        if on_epoch is not None:
            on_epoch(path, fitted.history)
        return Run(path)
    optimizer = build_optimizer(learner.model, resolved.train, learner.objective)
    freezing = Freezing(learner.model, resolved.train)
    if resume is None:
        state = None
        begin_run(path, resolved, environment, prepared, weights=probes)
    else:
        refuse_other_data(path, dataset)
        state = load_checkpoint(path / CHECKPOINT)

    latest = state
    track.update(path)
    saved = SparingSaver(lambda state: save_checkpoint(path / CHECKPOINT, state))

    def after_epoch(state: TrainingState) -> None:
        nonlocal latest
        if resolved.train.snapshots and len(state.history) in ends_of_cycles(resolved.train):
            # Before the checkpoint: what is resumed after this epoch does not come back to it.
            save_snapshot(path, prepared, state)
        saved(state)
        write_text(path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in state.history))
        latest = state
        track.update(path)
        if on_epoch is not None:
            on_epoch(path, state.history)

    interrupted, smaller = False, None
    try:
        bars = progress_bar(title or resolved.name, resolved.train.num_epochs, show=progress)
        with saved, bars as bar:
            latest = fit(
                learner.model,
                learner.batches,
                learner.objective,
                optimizer,
                resolved.train,
                seed=resolved.seed,
                validate=learner.validate,
                state=state,
                before_epoch=freezing,
                after_epoch=after_epoch,
                bar=bar,
                precision=precision,
                steady=learner.steady,
            )
    except KeyboardInterrupt:
        if latest is None:
            raise
        interrupted = True
    except (MemoryError, RuntimeError) as error:
        if any(words in str(error) for words in _NO_COMPILER):
            raise DeviceError(
                "train.compile needs a compiler, and this machine has none that works",
                fix="Install g++, or train with --set train.compile=false",
            ) from error
        if not is_out_of_memory(error):
            raise
        smaller = resolved.train.batch_size // 2
        if not asked.plan or "train.batch_size" in by_hand or smaller < SMALLEST_BATCH:
            raise DeviceError(
                f"the device {torch_device} has too little memory for this training",
                fix=f"Halve the batch with --set train.batch_size={smaller}",
            ) from error
    finally:
        if latest is None:  # nothing was learned yet, and a half folder would be in the way
            shutil.rmtree(path, ignore_errors=True)
    if smaller is not None:
        (say or _say)(f"memory was short: from the start again with a batch of {smaller}")
        del learner, optimizer, prepared, latest
        return train(
            asked.changed({"train.batch_size": smaller}),
            overrides=overrides,
            out=path,
            overwrite=True,
            device=device,
            progress=progress,
            title=title,
            on_epoch=on_epoch,
            track=track,
            say=say,
        )
    assert latest is not None
    freezing.release()
    finish_run(path, prepared, latest, interrupted=interrupted)
    track.update(path)
    return Run(path)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def resolve_recipe(
    recipe: str | Recipe,
    *,
    data: str | None = None,
    seed: int | None = None,
    overrides: tuple[str, ...] | list[str] = (),
) -> Recipe:
    """The recipe that `train` would follow for the same arguments.

    Raises:
        ConfigError: an unknown recipe, key or value.
        RunError: a file that is no recipe.
        StorageError: a file that cannot be read.
    """
    if isinstance(recipe, Recipe):
        found = recipe
    elif is_recipe_file(recipe):
        found = Recipe.load(Path(recipe))
    else:
        found = get_recipe(recipe)
    changes = [] if data is None else [f"data={json.dumps(data)}"]
    changes += [] if seed is None else [f"seed={seed}"]
    return found.with_overrides([*changes, *overrides])


def default_run_path(recipe: Recipe, parent: str | Path = "runs") -> Path:
    """``PARENT/RECIPE-DATA-sSEED``, a slash in the recipe's name and a colon in the data's as
    dashes."""
    data = Path(recipe.data).resolve().name.replace(":", "-")
    return Path(parent) / f"{recipe.name.replace('/', '-')}-{data}-s{recipe.seed}"


def can_resume(path: Path) -> bool:
    """Whether a training at `path` was stopped in a way that `train(resume=path)` can mend."""
    return (path / CHECKPOINT).is_file()


def _recipe_to_resume(path: Path) -> Recipe:
    if not (path / "recipe.json").is_file():
        raise RunError("there is no run folder to resume", got=str(path))
    recipe = Recipe.load(path / "recipe.json")
    if is_classical(recipe):
        raise RunError(
            f"scikit-learn fits {recipe.model.name} in one go: there is nothing to resume",
            fix="Train it anew with --overwrite",
        )
    if (path / "metrics.json").is_file() and not can_resume(path):
        raise RunError(
            f"{path} has finished: there is nothing to resume",
            fix="For a longer training, train anew with --set train.num_epochs=...",
        )
    return recipe
