"""`explain`: why a run takes images for what it takes them for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..data import Dataset, ImageSplit, load_dataset
from ..data.image_files import read_in_batches
from ..data.images import Invert
from ..errors import ConfigError, did_you_mean
from ..evaluation import evaluate, judged_images
from ..inference import find_images
from ..progress import Bar, progress_bar
from ..runs import Run
from .checking import check, check_work
from .flips import least_change, least_cover
from .methods import Method, applicable, maps_by
from .neighbors import Neighbor, kept_embeddings, learned_images, nearest, training_embeddings
from .result import Explanation, Explanations, Heatmap
from .subject import Aim, Subject

_DEFAULT_ERRORS = 8
_FLIP_WORK = 1.0  # of one image, in units of one image by one method


@dataclass(frozen=True, eq=False)
class _Images:
    """N images to be explained: names, (N, C, H, W) bytes, labels, -1 where unknown, and whether
    light and dark were swapped."""

    names: tuple[str, ...]
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    inverted: tuple[bool, ...]


def explain(
    run: Run | str | Path,
    images: Sequence[str | Path] = (),
    *,
    errors: int | None = None,
    ids: Sequence[int] = (),
    methods: Sequence[str] | None = None,
    target: str | None = None,
    against: str | None = None,
    neighbors: int = 4,
    flips: bool = True,
    invert: Invert = "auto",
    checks: bool = False,
    device: str = "auto",
    progress: bool = False,
) -> Explanations:
    """Why a run takes images for what it takes them for: maps over each image, the training images
    that it holds nearest, and the changes that turn the answer.

    All goes the way that the run's answers go: its preprocessing, its network, the mean over the
    views that it judges by.

    Args:
        run: a handle or the path of a run folder.
        images: paths of image files, or of folders of them.
        errors: so many errors among the judged images (the test part, or validation where there is
            none), the surest first. 8 where nothing says what to explain.
        ids: of judged images, as predictions have them.
        methods: keys of `METHODS`; None is all that apply to the network.
        target: the class to explain; None is the answer.
        against: explain by how much the class leads before this one, and look for changes that turn
            the answer into it.
        neighbors: training images to show for each image. The first call embeds all of them, and
            keeps that in the run's folder.
        flips: look for the least changes that turn the answer.
        invert: as of `predict`, for image files.
        checks: also ask what the maps are worth (`explaining.checks`), which is kept in the run's
            folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.

    Raises:
        ConfigError: an unknown method, class or id, or a method that the network has nothing for.
        RunError: the run folder cannot be used, or was trained on other data.
        DataError: the data set is missing, or a folder has no image files.
        ImageError: a file is missing, not an image, damaged or too large.
        ExtraError: captum is not installed.
        DeviceError: this machine has no such device.
    """
    run = run if isinstance(run, Run) else Run(run)
    wanted, other = (_class_of(run, name) for name in (target, against))
    if wanted is not None and wanted == other:
        raise ConfigError("a class cannot be explained against itself", got=against)
    if neighbors < 0:
        raise ConfigError("a number of neighbors is negative", got=neighbors, allowed="0 or more")
    subject = Subject.of_run(run, device=device)
    chosen, refused = applicable(subject, methods)
    files = find_images(images)
    if errors is None and not files and not len(ids):
        errors = _DEFAULT_ERRORS
    needs_data = errors is not None or len(ids) or neighbors or checks
    dataset = load_dataset(run.recipe.data, run.recipe.photos) if needs_data else None
    found = _of_files(run, files, invert)
    if dataset is not None and (errors is not None or len(ids)):
        found = _joined(found, _of_part(run, dataset, errors, ids, device))
    items = _explained(
        run,
        subject,
        dataset,
        found,
        chosen,
        wanted=wanted,
        other=other,
        neighbors=neighbors,
        flips=flips,
        progress=progress,
    )
    checked = None
    if checks and dataset is not None:
        split = judged_images(run, dataset, run.judged)
        with progress_bar("check", check_work(chosen), show=progress) as bar:
            checked = check(run, subject, chosen, split, run.judged, bar=bar)
        checked.save(run)
    return Explanations(run.name, tuple(items), refused, checked)


def explained_examples(
    run: Run, dataset: Dataset, count: int = 4, *, device: str = "auto"
) -> Explanations | None:
    """The surest errors explained by three methods that cost little, with what turns them; None
    where the run has made none. The run must have been evaluated.

    The nearest training images are there if an earlier `explain` has kept their embeddings.
    """
    subject = Subject.of_run(run, device=device)
    found = _of_part(run, dataset, count, (), device)
    if not len(found.names):
        return None
    quick = ("grad-cam", "rollout", "integrated-gradients", "occlusion")
    chosen, refused = applicable(subject, quick)
    learned = learned_images(run, dataset)
    items = _explained(
        run,
        subject,
        dataset,
        found,
        chosen[:3],
        wanted=None,
        other=None,
        neighbors=4 if kept_embeddings(run, len(learned)) is not None else 0,
        flips=True,
        progress=False,
    )
    return Explanations(run.name, tuple(items), refused)


def _explained(
    run: Run,
    subject: Subject,
    dataset: Dataset | None,
    images: _Images,
    methods: list[Method],
    *,
    wanted: int | None,
    other: int | None,
    neighbors: int,
    flips: bool,
    progress: bool,
) -> list[Explanation]:
    probs = subject.probs(images.pixels)
    target = np.full(len(probs), wanted) if wanted is not None else probs.argmax(axis=1)
    # An image that is taken for the other class already is explained by its own score.
    contrast = np.full(len(probs), -1 if other is None else other)
    contrast[contrast == target] = -1
    aim = subject.aim(target, contrast)
    near: list[tuple[Neighbor, ...]] = [()] * len(probs)
    if dataset is not None and neighbors:
        learned = learned_images(run, dataset)
        among = training_embeddings(run, subject.predictor, learned, progress=progress)
        own = subject.predictor.outputs(images.pixels).embedding
        near = nearest(own, among, learned, run.classes, neighbors)
    work = len(probs) * (len(methods) + _FLIP_WORK * flips)
    with progress_bar("explain", work, show=progress) as bar:
        maps = _maps(subject, images.pixels, aim, methods, bar)
        items = []
        for row, pixels in enumerate(images.pixels):
            order = np.argsort(-probs[row], kind="stable")
            against = int(contrast[row])
            turned = None if against < 0 else against
            items.append(
                Explanation(
                    name=images.names[row],
                    pixels=pixels,
                    probs={run.classes[k]: float(probs[row, k]) for k in order},
                    true=None if images.labels[row] < 0 else run.classes[images.labels[row]],
                    explained=run.classes[target[row]],
                    against=None if turned is None else run.classes[turned],
                    maps=tuple(
                        Heatmap(m.name, m.title, m.signed, maps[m.name][row]) for m in methods
                    ),
                    neighbors=near[row],
                    cover=least_cover(subject, pixels, turned) if flips else None,
                    change=least_change(subject, pixels, turned) if flips else None,
                    inverted=images.inverted[row],
                )
            )
            bar.update(len(probs) * len(methods) + (row + 1) * _FLIP_WORK * flips, "changes")
    return items


def _maps(
    subject: Subject,
    pixels: npt.NDArray[np.uint8],
    aim: Aim,
    methods: list[Method],
    bar: Bar,
) -> dict[str, npt.NDArray[np.float32]]:
    maps = {}
    for position, method in enumerate(methods):
        before = position * len(pixels)

        def tell(done: int, before: int = before, method: Method = method) -> None:
            bar.update(before + done, method.title)

        maps[method.name] = maps_by(method, subject, pixels, aim, on_done=tell)
    return maps


def _class_of(run: Run, name: str | None) -> int | None:
    if name is None:
        return None
    if name not in run.classes:
        raise ConfigError("unknown class", got=name, fix=did_you_mean(name, run.classes))
    return run.classes.index(name)


def _of_files(run: Run, files: Sequence[Path], invert: Invert) -> _Images:
    shape = run.card.image_shape
    read = [
        one
        for batch in read_in_batches(files, image_shape=shape, batch_size=64, invert=invert)
        for one in batch
    ]
    pixels = [image.pixels for _, image in read]
    return _Images(
        tuple(path for path, _ in read),
        np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8),
        np.full(len(read), -1),
        tuple(image.inverted for _, image in read),
    )


def _of_part(
    run: Run, dataset: Dataset, errors: int | None, ids: Sequence[int], device: str
) -> _Images:
    part = run.judged
    split: ImageSplit = judged_images(run, dataset, part)
    rows = []
    place = {int(number): row for row, number in enumerate(split.ids)}
    for number in ids:
        if number not in place:
            least, most = min(place), max(place)
            raise ConfigError(
                f"no {part} image has this id", got=number, allowed=f"ids from {least} to {most}"
            )
        rows.append(place[number])
    if errors is not None:
        if errors < 1:
            raise ConfigError("a number of errors is too small", got=errors, allowed="1 or more")
        if not run.has_predictions(part):
            evaluate(run, split=part, device=device)  # type: ignore[arg-type]
        predictions = run.predictions(part)
        wrong = np.flatnonzero(~predictions.correct)
        sure = predictions.probs.max(axis=1)[wrong]
        rows += [
            place[int(predictions.ids[k])] for k in wrong[np.argsort(-sure, kind="stable")][:errors]
        ]
    return _Images(
        tuple(f"{part} {split.ids[row]}" for row in rows),
        split.images[rows],
        split.labels[rows],
        (False,) * len(rows),
    )


def _joined(a: _Images, b: _Images) -> _Images:
    return _Images(
        a.names + b.names,
        np.concatenate([a.pixels, b.pixels]),
        np.concatenate([a.labels, b.labels]),
        a.inverted + b.inverted,
    )
