"""`robustness`: from runs to what they stand up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, load_dataset
from ..errors import ConfigError
from ..evaluation import NO_TEST_PART, judged_images, mcnemar_exact
from ..predictor import Predictor
from ..progress import progress_bar
from ..runs import Run
from .attacks import ATTACKS, AttackConfig, checked_attacks, withstood
from .corruptions import Corruption, corrupt, corruptions_of
from .groups import groups_of
from .reference import kept_reference
from .result import (
    AttackScore,
    CorruptionScore,
    MirroredClass,
    Robustness,
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

_RunLike = Run | str | Path


@dataclass(frozen=True)
class _Plan:
    corruptions: tuple[Corruption, ...]
    images: int | None
    attacks: tuple[str, ...]
    radii: tuple[int, ...]
    attack_images: int | None
    attack: AttackConfig
    seed: int

    @property
    def passes(self) -> int:
        """How often a network sees the sample."""
        return 1 + sum(len(one.severities) for one in self.corruptions)


def robustness(
    runs: _RunLike | Sequence[_RunLike],
    *,
    corruptions: Sequence[str] | None = None,
    images: int | None = 2000,
    attacks: Sequence[str] = ATTACKS,
    radii: Sequence[int] = (1, 2, 4, 8),
    attack_images: int | None = 500,
    attack: AttackConfig | None = None,
    against: _RunLike | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    keep: bool = True,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> Robustness:
    """How runs stand up to corrupted pictures, to attacks, and for each subgroup of the images.

    They are judged by the images that final results are read from, test images as a rule. Nothing
    is fitted or chosen by them. What is found is kept in each run's folder.

    Args:
        runs: handles or paths of run folders.
        corruptions: names from `corruptions.CORRUPTIONS`; None is all, an empty list none.
        images: a stratified sample of so many; None, or more than there are, is all.
        attacks: of ``fgsm`` and ``pgd``; an empty list for none.
        radii: by how many levels of 255 an attack may change a pixel.
        attack_images: a stratified sample of so many is attacked, for PGD costs some hundred
            times as much as an answer; None is all of `images`.
        attack: steps and restarts of PGD; None is the default.
        against: a run whose errors mean corruption errors are told beside; None is the recipe
            `cnn`, whose errors on Fashion-MNIST's test images come with this package.
        out: a folder for pictures; None draws none.
        overwrite: whether pictures of an earlier time may be replaced.
        keep: whether the result is written to ``robustness.json`` in each run's folder.
        seed: of the samples, the corruptions and the random starts.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show a bar on standard error.

    Raises:
        ConfigError: no run, an unknown corruption or attack, a number out of range, or a reference
            that was judged by other images.
        RunError: a run folder cannot be used, or its data have changed.
        DataError: a data set is missing or corrupt.
        DeviceError: this machine has no such device.
        StorageError: no space, no permission, or pictures are there already.
    """
    listed = [runs] if isinstance(runs, (Run, str, Path)) else list(runs)
    if not listed:
        raise ConfigError("there is no run to look at", fix="Name one or several run folders")
    plan = _plan(corruptions, images, attacks, radii, attack_images, attack, seed)
    handles = [_handle(run) for run in listed]
    if out is not None:
        from .pictures import refuse_pictures

        refuse_pictures(Path(out), overwrite=overwrite)
    other = None if against is None else _handle(against)
    subjects = [_Subject(run, plan) for run in handles]
    beside = None if other is None else _Subject(other, plan)
    if beside is not None:
        for subject in subjects:
            subject.refuse_other_images(beside)
    everyone = [*subjects, *([beside] if beside is not None else [])]
    total = sum(subject.work(attacked=subject is not beside) for subject in everyone)
    with progress_bar("robustness", total, show=progress) as bar:
        done = 0.0

        def advance(work: float, note: str) -> None:
            nonlocal done
            done += work
            bar.update(done, note)

        reference = None if beside is None else beside.as_reference(device, advance)
        found = tuple(subject.measure(device, reference, advance) for subject in subjects)
    result = Robustness(found)
    if keep:
        for run, one in zip(handles, found, strict=True):
            one.save(run)
    if out is not None:
        from .pictures import robustness_pictures

        for picture in robustness_pictures(result, sheet=subjects[0].sheet()):
            picture.save(out)
    return result


def _plan(
    corruptions: Sequence[str] | None,
    images: int | None,
    attacks: Sequence[str],
    radii: Sequence[int],
    attack_images: int | None,
    attack: AttackConfig | None,
    seed: int,
) -> _Plan:
    checked_attacks(attacks, radii)
    for words, number in (("images", images), ("attack_images", attack_images)):
        if number is not None and number < 1:
            raise ConfigError(f"{words} is a number of images", got=number, allowed="1 or more")
    return _Plan(
        corruptions_of(corruptions),
        images,
        tuple(name for name in ATTACKS if name in attacks),
        tuple(sorted(set(map(int, radii)))),
        attack_images,
        attack or AttackConfig(),
        seed,
    )


def _handle(run: _RunLike) -> Run:
    return run if isinstance(run, Run) else Run(run)


_Advance = Callable[[float, str], None]


class _Subject:
    """A run with the images that it is judged by."""

    def __init__(self, run: Run, plan: _Plan) -> None:
        self.run, self.plan = run, plan
        self.dataset: Dataset = load_dataset(run.recipe.data, run.recipe.photos)
        whole = judged_images(run, self.dataset, run.judged)
        self.total = len(whole)
        self.split: ImageSplit = whole.take(stratified(whole.labels, plan.images, plan.seed))
        at = stratified(self.split.labels, plan.attack_images, plan.seed)
        self.attacked = self.split.take(at) if plan.attacks else self.split.take([])

    def work(self, *, attacked: bool) -> float:
        """About how many answers it takes."""
        pgd = 3 * self.plan.attack.steps * self.plan.attack.restarts
        cost = {"fgsm": 4, "pgd": pgd}
        each = sum(cost[name] for name in self.plan.attacks) * len(self.plan.radii)
        return self.plan.passes * len(self.split) + attacked * each * len(self.attacked)

    def refuse_other_images(self, other: _Subject) -> None:
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

    def sheet(self) -> tuple[ImageSplit, int]:
        """Images for a sheet of examples, with their background."""
        return self.split, self.run.card.background

    def as_reference(self, device: str, advance: _Advance) -> ReferenceErrors:
        """Its errors, for others to be told beside."""
        clean, correct = self._answers(Predictor.of_run(self.run, device=device), advance)
        errors = {name: tuple((~rows).mean(axis=1).tolist()) for name, rows in correct.items()}
        return ReferenceErrors(
            float((~clean).mean()), errors, f"{self.run.name} on the same images", correct
        )

    def measure(
        self, device: str, reference: ReferenceErrors | None, advance: _Advance
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
            ),
            mirrored=self._mirrored(clean, correct),
            notes=tuple(notes),
        )

    def _answers(
        self, predictor: Predictor, advance: _Advance
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
        self, predictor: Predictor, advance: _Advance
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
