"""`robustness`: from runs to what they stand up to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import WITHOUT_GRADIENT
from ..errors import ConfigError
from ..progress import progress_bar
from ..runs import Run
from .attacks import ATTACKS, AttackConfig, checked_attacks
from .corruptions import corruptions_of
from .result import Robustness
from .subject import Plan, Subject

_RunLike = Run | str | Path


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
    by: str | None = None,
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
        by: a column of a table of photos, whose values are subgroups too.
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
        DataError: a data set is missing or corrupt, or has no such column.
        DeviceError: this machine has no such device.
        StorageError: no space, no permission, or pictures are there already.
    """
    listed = [runs] if isinstance(runs, (Run, str, Path)) else list(runs)
    if not listed:
        raise ConfigError("there is no run to look at", fix="Name one or several run folders")
    plan = _plan(corruptions, images, attacks, radii, attack_images, attack, seed, by)
    handles = [_handle(run) for run in listed]
    for run in handles:
        if plan.attacks and run.card.model.name in WITHOUT_GRADIENT:
            raise ConfigError(
                f"{run.path} has no gradient that an attack could follow",
                got=run.card.model.name,
                fix="Pass --attacks none",
            )
    if out is not None:
        from .pictures import refuse_pictures

        refuse_pictures(Path(out), overwrite=overwrite)
    other = None if against is None else _handle(against)
    subjects = [Subject(run, plan) for run in handles]
    beside = None if other is None else Subject(other, plan)
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
    by: str | None,
) -> Plan:
    checked_attacks(attacks, radii)
    for words, number in (("images", images), ("attack_images", attack_images)):
        if number is not None and number < 1:
            raise ConfigError(f"{words} is a number of images", got=number, allowed="1 or more")
    return Plan(
        corruptions_of(corruptions),
        images,
        tuple(name for name in ATTACKS if name in attacks),
        tuple(sorted(set(map(int, radii)))),
        attack_images,
        attack or AttackConfig(),
        seed,
        by,
    )


def _handle(run: _RunLike) -> Run:
    return run if isinstance(run, Run) else Run(run)
