"""The run folder of what was made of several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..config import Recipe
from ..devices import describe_machine
from ..evaluation import fit_calibration, mcnemar_exact, paired_effect
from ..predictions import Predictions
from ..runs import FORMAT_VERSION, ModelCard, Run
from ..storage import atomic_folder, write_json, write_text
from ..training.checkpoints import copy_weights
from ..version import __version__
from .making import Made, Maker
from .members import Member


def write_run(
    path: Path,
    maker: Maker,
    made: Made,
    *,
    name: str,
    kind: str,
    command: str,
    overwrite: bool,
) -> list[str]:
    """Write the folder, whole or not at all.

    Args:
        path: of the new run.
        maker: that has made it.
        made: what is written.
        name: of its recipe.
        kind: ensemble, snapshots, uniform-soup or greedy-soup.
        command: that makes it again.
        overwrite: replace what stands there.

    Returns:
        What is to be said of it.

    Raises:
        StorageError: `path` exists, no space, or no permission.
    """
    network, card = made.network, made.card
    first = maker.first
    notes = list(made.notes)
    if maker.held_out is None:
        notes.append(
            "the runs have held out different images, or none: nothing is left to judge all of "
            "them by but the test images, and no temperature was fitted"
        )
    metrics: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best_validation_accuracy": None,
        **_spent([member.run for member in maker.members]),
        "validation_images": 0 if maker.held_out is None else len(maker.held_out),
        # As of one network, a pass is counted once, whatever the views.
        **{what: _total(made.members, what, kind) for what in ("parameters", "multiply_adds")},
        "made_as": kind,
        "members": [_fact(member) for member in made.members],
    }
    with atomic_folder(path, overwrite=overwrite) as folder:
        _recipe(first, name, card, shared=maker.held_out is not None).save(folder / "recipe.json")
        write_text(folder / "model.json", card.model_dump_json(indent=2) + "\n")
        write_text(folder / "metrics.jsonl", "")
        save_file(copy_weights(network), folder / "model.safetensors")
        if maker.held_out is not None:
            predictions = maker.predict(network, card)
            predictions.save(folder / "predictions" / "validation.npz")
            calibration = fit_calibration(predictions)
            if calibration is not None:
                calibration.save(folder)
            metrics["best_validation_accuracy"] = float(predictions.correct.mean())
            notes.append(_beside_the_best(predictions, maker))
        environment = first.environment
        kept = ("data_fingerprint", "judged", "corrected")
        write_json(
            folder / "environment.json",
            {
                "atelier": __version__,
                **describe_machine(torch.device(maker.device)),
                **{key: environment[key] for key in kept if key in environment},
                "notes": notes,
                "command": command,
            },
        )
        write_json(folder / "metrics.json", metrics)
    return notes


def _total(used: list[Member], name: str, kind: str) -> int:
    """What the networks cost together; a soup is one of them."""
    costs = [int(member.run.metrics[name]) for member in used]
    return costs[0] if kind.endswith("soup") else sum(costs)


def _fact(member: Member) -> dict[str, Any]:
    fact = {
        "run": str(member.run.path),
        "recipe": member.run.recipe.name,
        "seed": member.run.recipe.seed,
    }
    return fact if member.snapshot is None else {**fact, "snapshot": member.snapshot}


def _spent(runs: list[Run]) -> dict[str, Any]:
    """What all the trainings came to, each counted once."""
    metrics = [run.metrics for run in {run.path.resolve(): run for run in runs}.values()]
    epochs = sum(int(one["num_epochs"]) for one in metrics)
    return {
        "kept_epoch": epochs,
        "num_epochs": epochs,
        "interrupted": any(one["interrupted"] for one in metrics),
        "train_seconds": sum(float(one["train_seconds"]) for one in metrics),
        "train_images": max(int(one["train_images"]) for one in metrics),
    }


def _beside_the_best(predictions: Predictions, maker: Maker) -> str:
    """The whole beside its best part, on the images that this part was found by."""
    best = max(range(len(maker.members)), key=maker.accuracies.__getitem__)
    whole, part = predictions.correct, maker.predictions[best].correct
    effect = paired_effect(int((whole & ~part).sum()), int((part & ~whole).sum()), len(predictions))
    low, high = (100 * end for end in effect.interval)
    return (
        f"validation accuracy {whole.mean():.2%}, and {part.mean():.2%} of the best of its parts "
        f"({maker.members[best].name}): {100 * effect.difference:+.2f} points, 95 % interval "
        f"{low:+.2f} to {high:+.2f}, p = {mcnemar_exact(whole, part):.2g} (McNemar, exact) on "
        f"{len(predictions):,} images"
    )


def _recipe(first: Run, name: str, card: ModelCard, *, shared: bool) -> Recipe:
    """The first run's, for the new network; without a validation part if the members share none."""
    recipe = first.recipe
    train = recipe.train
    if not shared:
        fixed = {"validation_share": 0.0, "keep": "last", "patience": 0}
        fixed |= {"schedule": "constant"} if train.schedule == "plateau" else {}
        train = train.model_copy(update=fixed)
    return recipe.model_copy(
        update={
            "name": name,
            "model": card.model,
            "train": train,
            "mirror_average": card.mirror_average,
            "shift_average": card.shift_average,
        }
    )
