"""One run with the images that it is judged by, and all that is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, load_dataset
from ..data.photo_tables import column_by_file
from ..errors import ConfigError
from ..evaluation import NO_TEST_PART, judged_images, mcnemar_exact
from ..predictor import Predictor
from ..runs import Run
from .attacks import AttackConfig, AttackName, withstood
from .corruptions import Corruption, corrupt
from .groups import MOST_VALUES, groups_of
from .reference import kept_reference
from .result import (
    AttackScore,
    CorruptionScore,
    MirroredClass,
    RunRobustness,
    mirrored_classes,
)
from .sampling import stratified
from .scores import (
    Correct,
    Estimate,
    MeanCorruptionError,
    ReferenceErrors,
    mean_accuracy,
    mean_corruption_error,
)

_BATCH_BYTES = 4 * 2**20  # of pixels that are corrupted at once
_LARGEST_BATCH = 1024
_ATTACKED_AT_ONCE = 250


@dataclass(frozen=True)
class Plan:
    """What is asked of every run; the fields are those of `robustness`."""

    corruptions: tuple[Corruption, ...]
    images: int | None
    attacks: tuple[AttackName, ...]
    radii: tuple[int, ...]
    attack_images: int | None
    attack: AttackConfig
    seed: int
    by: str | None

    @property
    def passes(self) -> int:
        """How often a network sees the sample."""
        return 1 + sum(len(one.severities) for one in self.corruptions)


Advance = Callable[[float, str], None]
"""Told how many answers were made, and what is being done."""


class Subject:
    """A run with the images that it is judged by."""

    def __init__(self, run: Run, plan: Plan) -> None:
        self.run, self.plan = run, plan
        self.dataset: Dataset = load_dataset(run.recipe.data, run.recipe.photos)
        whole = judged_images(run, self.dataset, run.judged)
        self.total = len(whole)
        self.split: ImageSplit = whole.take(stratified(whole.labels, plan.images, plan.seed))
        self.told = {} if plan.by is None else {plan.by: self._column(plan.by)}
        at = stratified(self.split.labels, plan.attack_images, plan.seed)
        self.attacked = self.split.take(at) if plan.attacks else self.split.take(np.arange(0))

    def work(self, *, attacked: bool) -> float:
        """About how many answers it takes."""
        pgd = 3 * self.plan.attack.steps * self.plan.attack.restarts
        cost = {"fgsm": 4, "pgd": pgd}
        each = sum(cost[name] for name in self.plan.attacks) * len(self.plan.radii)
        return self.plan.passes * len(self.split) + attacked * each * len(self.attacked)

    def refuse_other_images(self, other: Subject) -> None:
        """Refuse a reference that is judged by other images.

        Raises:
            ConfigError: it is.
        """
        own, its = self.split, other.split
        if not (
            own.images.shape == its.images.shape
            and np.array_equal(own.labels, its.labels)
            and np.array_equal(own.images, its.images)
        ):
            raise ConfigError(
                f"{other.run.path} is judged by other images than {self.run.path}",
                fix="Give --against a run of the same data, parts and image size",
            )

    def _column(self, name: str) -> list[str]:
        """(N,) what a column of the data's table says of each image.

        Raises:
            ConfigError: the data are no table, or the column has too many values.
            DataError: there is no such column.
        """
        path = Path(self.run.recipe.data).expanduser().absolute()
        if self.dataset.photos is None or not path.is_file():
            raise ConfigError(
                f"{self.run.path} was not trained on a table of photos, and so there is no column",
                got=name,
                fix="Leave out --by",
            )
        values = column_by_file(path, name, self.run.recipe.photos.columns)
        files = self.dataset.photos.files
        found = [values.get(files[number], "") for number in self.split.ids.tolist()]
        if len(set(found)) > MOST_VALUES:
            raise ConfigError(
                f"the column {name!r} has too many values to be subgroups",
                got=len(set(found)),
                allowed=f"up to {MOST_VALUES}",
            )
        return found

    def sheet(self) -> tuple[ImageSplit, int]:
        """Images for a sheet of examples, with their background."""
        return self.split, self.run.card.background

    def as_reference(self, device: str, advance: Advance) -> ReferenceErrors:
        """Its errors, for others to be told beside."""
        clean, correct = self._answers(Predictor.of_run(self.run, device=device), advance)
        errors = {name: tuple((~rows).mean(axis=1).tolist()) for name, rows in correct.items()}
        return ReferenceErrors(
            float((~clean).mean()), errors, f"{self.run.name} on the same images", correct
        )

    def measure(
        self, device: str, reference: ReferenceErrors | None, advance: Advance
    ) -> RunRobustness:
        """All that the plan asks for."""
        run, plan, split = self.run, self.plan, self.split
        predictor = Predictor.of_run(run, device=device)
        clean, correct = self._answers(predictor, advance)
        standing, attacks = self._attacks(predictor, advance)
        mce, notes = self._mce(clean, correct, reference)
        if run.judged == "validation":
            notes.append(NO_TEST_PART)
        photos = self.dataset.photos
        return RunRobustness(
            name=run.name,
            data=self.dataset.name,
            data_fingerprint=self.dataset.fingerprint,
            part=run.judged,
            n=len(split),
            total=self.total,
            seed=plan.seed,
            right=int(clean.sum()),
            corruptions=tuple(
                CorruptionScore(name, tuple(rows.sum(axis=1).tolist()), len(split))
                for name, rows in correct.items()
            ),
            corrupted=_corrupted(correct, plan.seed),
            mce=mce,
            attacks=attacks,
            attacked_right=standing,
            groups=groups_of(
                split,
                clean,
                run.classes,
                background=run.card.background,
                files=None if photos is None else photos.files,
                told=self.told,
            ),
            mirrored=self._mirrored(clean, correct),
            notes=tuple(notes),
        )

    def _answers(
        self, predictor: Predictor, advance: Advance
    ) -> tuple[npt.NDArray[np.bool_], dict[str, npt.NDArray[np.bool_]]]:
        """(N,) whether each image is read rightly, and by corruption (S, N) when corrupted."""
        split, name = self.split, self.run.name
        n, pixels = len(split), int(np.prod(split.images.shape[1:]))
        size = max(1, min(_LARGEST_BATCH, _BATCH_BYTES // pixels))
        clean = np.empty(n, bool)
        correct = {
            one.name: np.empty((len(one.severities), n), bool) for one in self.plan.corruptions
        }
        for start in range(0, n, size):
            at = slice(start, start + size)
            images, labels, ids = split.images[at], split.labels[at], split.ids[at]
            clean[at] = predictor.logits(images).argmax(axis=1) == labels
            advance(len(labels), f"{name}, clean")
            for one in self.plan.corruptions:
                for severity in one.severities:
                    changed = corrupt(
                        images,
                        one.name,
                        severity,
                        ids=ids,
                        seed=self.plan.seed,
                        background=self.run.card.background,
                        device=predictor.device,
                    )
                    right = predictor.logits(changed).argmax(axis=1) == labels
                    correct[one.name][severity - 1, at] = right
                    advance(len(labels), f"{name}, {one.name} {severity}")
        return clean, correct

    def _attacks(
        self, predictor: Predictor, advance: Advance
    ) -> tuple[int, tuple[AttackScore, ...]]:
        """How many of the attacked images are read rightly as they are, and under each attack."""
        plan, split = self.plan, self.attacked
        if not plan.attacks:
            return 0, ()
        network = predictor.pixels
        standing = predictor.logits(split.images).argmax(axis=1) == split.labels
        n, config = len(split), plan.attack
        pixels = int(np.prod(split.images.shape[1:]))
        fitting = _BATCH_BYTES // (4 * pixels * network.num_views)
        size = max(1, min(_ATTACKED_AT_ONCE, fitting))
        total = self.work(attacked=True) - self.work(attacked=False)
        scores = []
        for attack in plan.attacks:
            right = np.zeros(len(plan.radii), np.int64)
            share = total * (4 if attack == "fgsm" else 3 * config.steps * config.restarts)
            share /= sum(
                4 if one == "fgsm" else 3 * config.steps * config.restarts for one in plan.attacks
            )
            for start in range(0, n, size):
                at = slice(start, start + size)
                right += withstood(
                    network,
                    split.images[at],
                    split.labels[at],
                    split.ids[at],
                    attack,
                    plan.radii,
                    config=config,
                    seed=plan.seed,
                    device=predictor.device,
                ).sum(axis=1)
                advance(share * len(split.ids[at]) / n, f"{self.run.name}, {attack}")
            settings = (
                "one step"
                if attack == "fgsm"
                else f"{config.steps} steps of 2.5/{config.steps} of the radius, "
                f"{config.restarts} starts"
            )
            scores.append(AttackScore(attack, settings, plan.radii, tuple(right.tolist()), n))
        return int(standing.sum()), tuple(scores)

    def _mce(
        self,
        clean: npt.NDArray[np.bool_],
        correct: Correct,
        reference: ReferenceErrors | None,
    ) -> tuple[MeanCorruptionError | None, list[str]]:
        if not correct:
            return None, []
        reference = reference or kept_reference(self.dataset.fingerprint, self.run.judged)
        if reference is None:
            return None, [
                "There is no reference for these images, and so no mCE: name a run with --against."
            ]
        return mean_corruption_error(correct, clean, reference, seed=self.plan.seed), []

    def _mirrored(
        self, clean: npt.NDArray[np.bool_], correct: Correct
    ) -> tuple[MirroredClass, ...]:
        if "mirror" not in correct:
            return ()
        (mirrored,) = correct["mirror"]
        counts, p_values = {}, {}
        for label in np.unique(self.split.labels).tolist():
            at = self.split.labels == label
            counts[label] = (int(at.sum()), int(clean[at].sum()), int(mirrored[at].sum()))
            p_values[label] = mcnemar_exact(clean[at], mirrored[at])
        return mirrored_classes(self.run.classes, counts, p_values)


def _corrupted(correct: Correct, seed: int) -> Estimate | None:
    return mean_accuracy(correct, seed=seed) if correct else None
