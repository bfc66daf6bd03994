"""`ensemble`: from several runs to one run folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from ..config import EnsembleConfig, Recipe
from ..config.networks import MemberConfig
from ..data import Dataset, ImageSplit, load_dataset, validation_of
from ..data.batches import Normalizer
from ..devices import describe_machine, resolve_device
from ..errors import ConfigError
from ..evaluation import fit_calibration, judged_images
from ..evaluation.paired import paired_effect
from ..evaluation.significance import mcnemar_exact
from ..models import Classifier
from ..models.ensemble import assembled
from ..predictions import Predictions
from ..predictor import Predictor
from ..runs import FORMAT_VERSION, ModelCard, Run, refuse_other_data
from ..storage import atomic_folder, refuse_existing, write_json, write_text
from ..training.averaging import reestimate_batch_norm
from ..training.checkpoints import copy_weights
from ..training.entry import default_run_path
from ..version import __version__
from .members import Member, members_of, shared_validation, snapshots_of
from .soups import averaged, greedy, refuse_other_architectures, start_warning

Soup = Literal["uniform", "greedy"]
Say = Callable[[str], None]

_BATCH_NORM_IMAGES = 5_000
_BATCH = 250


def ensemble(
    runs: Sequence[Run | str | Path] | Run | str | Path,
    *,
    out: str | Path | None = None,
    soup: Soup | None = None,
    snapshots: bool = False,
    last: int | None = None,
    overwrite: bool = False,
    device: str = "auto",
    say: Say | None = None,
) -> Run:
    """Make one run of several: every verb takes it as it takes one that was trained.

    An ensemble predicts by the mean of its members' probabilities (Lakshminarayanan et al. 2017,
    arXiv:1612.01474); the recipes may differ. A soup averages the weights instead, at the cost of
    one network (Wortsman et al. 2022, arXiv:2203.05482). The test images are not looked at; what
    the members have all held out is the validation part of the new run, if there is such.

    Args:
        runs: finished runs on the same data.
        out: the new run folder; None is ``runs/RECIPE-ensemble-DATA-sSEED`` of the first run.
        soup: ``uniform`` averages all; ``greedy`` begins with the best on validation, and takes in
            what makes validation no worse; None makes an ensemble.
        snapshots: of the one run, the weights at the ends of its cycles (Huang et al. 2017,
            arXiv:1704.00109), which a training with ``train.snapshots`` has kept.
        last: of the snapshots, only so many from the end; None takes all.
        overwrite: replace what stands at `out`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        say: receives each sentence on what was found; standard error by default.

    Raises:
        ConfigError: too few runs, or options that do not go together.
        RunError: a run cannot be used, or the runs do not fit together.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
        StorageError: `out` exists, no space, or no permission.
    """
    if soup not in (None, "uniform", "greedy"):
        raise ConfigError("unknown soup", got=soup, allowed=["uniform", "greedy"])
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    opened = [run if isinstance(run, Run) else Run(run) for run in given]
    members = _members(opened, soup=soup, snapshots=snapshots, last=last)
    if soup is not None:
        refuse_other_architectures(members)
    kind = f"{soup}-soup" if soup else "snapshots" if snapshots else "ensemble"
    name = f"{members[0].run.recipe.name}-{kind}"
    path = Path(out) if out is not None else default_run_path(_renamed(members[0].run, name))
    refuse_existing(path, overwrite=overwrite)
    maker = _Maker(members, device)
    network, card, used, notes = maker.soup(soup) if soup else maker.ensemble()
    if maker.held_out is None:
        notes.append(
            "the runs have held out different images, or none: nothing is left to judge all of "
            "them by but the test images, and no temperature was fitted"
        )
    words = ["atelier", "ensemble", *(str(run.path) for run in opened)]
    words += ["--soup", soup] if soup else []
    words += ["--snapshots"] if snapshots else []
    words += ["--last", str(last)] if last is not None else []
    facts = _Written(name, shlex.join(words), kind, notes)
    for note in _write(path, maker, network, card, used, facts, overwrite=overwrite):
        (say or _say)(note)
    return Run(path)


def _members(
    runs: list[Run], *, soup: Soup | None, snapshots: bool, last: int | None
) -> list[Member]:
    if snapshots and len(runs) != 1:
        raise ConfigError("snapshots are those of one run", got=f"{len(runs)} runs")
    if last is not None and not snapshots:
        raise ConfigError("last counts snapshots", got=last, fix="Pass --snapshots too")
    if not snapshots and len(runs) < (1 if soup else 2):
        raise ConfigError(
            "an ensemble needs two runs or more",
            got=len(runs),
            fix="Name more runs, or pass --snapshots for those of one run",
        )
    return snapshots_of(runs[0], last) if snapshots else members_of(runs)


class _Maker:
    """Makes networks of members.

    Attributes:
        held_out: the images that all members have held out; None where there are none.
        accuracies: of each member on them.
    """

    def __init__(self, members: list[Member], device: str) -> None:
        self.members = members
        self.first = members[0].run
        self.device = str(resolve_device(device))
        self.dataset: Dataset | None = None
        self.held_out: ImageSplit | None = None
        self.predictions: list[Predictions] = []
        kept = shared_validation([member.run for member in members])
        if kept is not None:
            images = judged_images(self.first, self._data(), "validation")
            self.held_out = images if np.array_equal(images.ids, kept.ids) else None
        if self.held_out is not None:
            self.predictions = [self.predict(m.network, m.run.card) for m in members]

    @property
    def accuracies(self) -> list[float]:
        return [float(predictions.correct.mean()) for predictions in self.predictions]

    def predict(self, network: nn.Module, card: ModelCard) -> Predictions:
        """What a network says of the held-out images."""
        assert self.held_out is not None
        return Predictor(network, card, device=self.device).predict_split(self.held_out)

    def ensemble(self) -> tuple[Classifier, ModelCard, list[Member], list[str]]:
        """The ensemble with its card, what is in it, and what to say of it."""
        cards = [member.run.card for member in self.members]
        first = cards[0]
        views = {(card.mirror_average, card.shift_average) for card in cards}
        # Views of all alike are the whole ensemble's, as of one network; else each takes its own.
        mirrored, shifted = views.pop() if len(views) == 1 else (False, False)
        config = EnsembleConfig(
            mean=first.mean,
            std=first.std,
            members=tuple(
                MemberConfig(
                    model=card.model,
                    mean=card.mean,
                    std=card.std,
                    background=card.background,
                    mirror_average=card.mirror_average and not mirrored,
                    shift_average=card.shift_average and not shifted,
                )
                for card in cards
            ),
        )
        changes = {"model": config, "mirror_average": mirrored, "shift_average": shifted}
        networks = [member.network for member in self.members]
        network = assembled(config, networks, first.image_shape)
        return network, first.model_copy(update=changes), self.members, []

    def soup(self, kind: Soup) -> tuple[Classifier, ModelCard, list[Member], list[str]]:
        """The soup with the first member's card, what is in it, and what to say of it."""
        card = self.first.card
        warning = start_warning(self.members)
        notes = [] if warning is None else [warning]
        if kind == "uniform":
            soup = averaged([member.network for member in self.members], self._reestimate)
            return soup, card, self.members, notes
        if self.held_out is None:
            raise ConfigError(
                "a greedy soup chooses by images that all of its runs have held out, and these "
                "have none in common",
                fix="Pass --soup uniform, or train them with one --set train.split_seed",
            )
        soup, chosen = greedy(
            self.members,
            self.accuracies,
            lambda network: float(self.predict(network, card).correct.mean()),
            self._reestimate,
        )
        notes.append(f"{len(chosen)} of {len(self.members)} are in the soup")
        return soup, card, [self.members[k] for k in chosen], notes

    def _reestimate(self, network: nn.Module) -> None:
        """Give the batch norms the statistics of training images, as they are."""
        recipe, card, dataset = self.first.recipe, self.first.card, self._data()
        share = recipe.train.validation_share
        chosen, _ = validation_of(dataset, size=share, seed=recipe.split_seed)
        some = chosen[:: max(1, len(chosen) // _BATCH_NORM_IMAGES)][:_BATCH_NORM_IMAGES]
        normalize = Normalizer(card.mean, card.std, torch.device(self.device))
        network.to(self.device)
        parts = (some[start : start + _BATCH] for start in range(0, len(some), _BATCH))
        reestimate_batch_norm(
            network,
            (
                normalize(torch.from_numpy(dataset.train.images[part]).to(self.device))
                for part in parts
            ),
        )
        network.to("cpu")

    def _data(self) -> Dataset:
        if self.dataset is None:
            self.dataset = load_dataset(self.first.recipe.data, self.first.recipe.photos)
            refuse_other_data(self.first.path, self.dataset)
        return self.dataset


class _Written:
    """What the new folder says of itself beside its numbers."""

    def __init__(self, name: str, command: str, kind: str, notes: list[str]) -> None:
        self.name, self.command, self.kind, self.notes = name, command, kind, notes


def _write(
    path: Path,
    maker: _Maker,
    network: Classifier,
    card: ModelCard,
    used: list[Member],
    facts: _Written,
    *,
    overwrite: bool,
) -> list[str]:
    """Write the folder, whole or not at all, and return what is to be said."""
    first = maker.first
    notes = list(facts.notes)
    metrics: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "best_validation_accuracy": None,
        **_spent([member.run for member in maker.members]),
        "validation_images": 0 if maker.held_out is None else len(maker.held_out),
        # As of one network, a pass is counted once, whatever the views.
        **{name: _total(used, name, facts.kind) for name in ("parameters", "multiply_adds")},
        "made_as": facts.kind,
        "members": [_fact(member) for member in used],
    }
    with atomic_folder(path, overwrite=overwrite) as folder:
        _recipe(first, facts.name, card, shared=maker.held_out is not None).save(
            folder / "recipe.json"
        )
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
                **{name: environment[name] for name in kept if name in environment},
                "notes": notes,
                "command": facts.command,
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


def _beside_the_best(predictions: Predictions, maker: _Maker) -> str:
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
    recipe = _renamed(first, name)
    train = recipe.train
    if not shared:
        fixed = {"validation_share": 0.0, "keep": "last", "patience": 0}
        fixed |= {"schedule": "constant"} if train.schedule == "plateau" else {}
        train = train.model_copy(update=fixed)
    return recipe.model_copy(
        update={
            "model": card.model,
            "train": train,
            "mirror_average": card.mirror_average,
            "shift_average": card.shift_average,
        }
    )


def _renamed(run: Run, name: str) -> Recipe:
    return run.recipe.model_copy(update={"name": name})


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
