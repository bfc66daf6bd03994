"""`audit`: from a data set to what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..config import PhotosConfig, Recipe
from ..data import obtain_dataset
from ..data.balance import balance_warnings
from ..data.corrections import corrected_source, is_corrections, read_corrections
from ..data.datasets import FASHION_MNIST, SAMPLE
from ..data.duplicates import find_pairs
from ..drawing.canvas import save_png
from ..errors import ConfigError, StorageError
from ..recipes import get_recipe
from ..runs import Run
from .collection import Collection
from .findings import Audit, SmallPhoto, ranked_pairs


def audit(
    data: str | Path,
    *,
    run: Run | str | Path | None = None,
    out: str | Path | None = None,
    overrides: Iterable[str] = (),
    labels: bool = False,
    recipe: str | None = None,
    folds: int = 4,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> Audit:
    """Look for copies, contradictory labels, leaks between parts, and images that show nothing; if
    asked, for labels that are likely wrong, images like no other, and classes that overlap too.

    Nothing is left out of the data and nothing is changed. Files that cannot be read are skipped,
    and the notes say so.

    Args:
        data: a data set's name, a folder, a table or a file of corrections.
        run: a run whose network is asked for look-alikes too; photos are then read as it reads
            them.
        out: a folder for ``duplicates.csv`` (all pairs) and ``duplicates.png`` (the worst), and
            with `labels` for ``labels.csv`` (a file of corrections to fill in), ``labels.html`` (to
            look through), contact sheets, ``outliers.csv`` and what the networks said, so that a
            search that was stopped goes on; None writes nothing.
        overrides: ``photos.…=value`` strings such as ``photos.image_size=128``; with `labels` also
            changes of the recipe.
        labels: train networks, each on a part of the data, and ask them about the rest.
        recipe: of these networks; None is ``fast-91`` for arrays and ``photos-fast`` for photos.
        folds: how many networks.
        seed: of the parts and the networks.
        device: of the networks: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.

    Raises:
        ConfigError: an override that is not about photos, or does not fit; or a recipe, folds or a
            seed without `labels`.
        DataError: the data set is missing or corrupt.
        RunError: the run is not finished, or takes images of another shape.
        StorageError: `out` cannot be written, or has a ``labels.csv`` that somebody has filled in.
        ExtraError: cleanlab is not installed, and `labels` asked for.
    """
    source, overrides = str(data), list(overrides)
    known = run if isinstance(run, Run) or run is None else Run(run)
    if recipe is not None and not labels:
        raise ConfigError("a recipe is for the check of labels", fix="Add --labels")
    judging = _judging(source, recipe, seed, overrides) if labels else None
    if out is not None and labels:
        refuse_filled_in(Path(out) / "labels.csv")
    # Nothing that an audit is to find may be left out before, and no part cut by chance.
    looking = {"keep_duplicates": True, "skip_bad": True, "test_share": 0.0}
    photos = _photos(known, judging, overrides).model_copy(update=looking)
    dataset = obtain_dataset(source, photos, progress=progress)
    collection = Collection(dataset)
    copies = find_pairs(collection, collection.hashes(progress=progress), progress=progress)
    lookalikes = None
    if known is not None:
        from .lookalikes import find_lookalikes  # torch is wanted only here

        lookalikes = find_lookalikes(collection, known, device=device, progress=progress)
    found = None
    if judging is not None:
        from .labels import audit_labels, for_few_images

        found = audit_labels(
            collection,
            copies,
            as_source(source),
            recipe=judging if recipe is not None else for_few_images(judging, collection),
            folds=folds,
            keep=None if out is None else Path(out) / "folds",
            device=device,
            progress=progress,
        )
    held_out = None if dataset.validation is None else dataset.validation.labels
    result = Audit(
        name=dataset.name,
        counts={
            part: int((collection.part == number).sum())
            for number, part in enumerate(collection.parts)
        },
        pairs=ranked_pairs(collection, copies, lookalikes),
        constant=tuple(collection.names[k] for k in collection.constant()),
        small=tuple(
            SmallPhoto(collection.names[k], width, height)
            for k, width, height in collection.small(corrected_source(source), progress=progress)
        ),
        warnings=tuple(balance_warnings(dataset.classes, dataset.train.labels, held_out)),
        notes=(
            *map(str, dataset.corrected),
            *(() if dataset.photos is None else dataset.photos.notes),
        ),
        labels=found,
    )
    if out is not None:
        _write(result, collection, Path(out))
    return result


def _judging(source: str, name: str | None, seed: int, overrides: list[str]) -> Recipe:
    """The recipe of the networks that judge labels."""
    from ..data.photos import has_photos

    if name is None:
        name = "photos-fast" if has_photos(corrected_source(source)) else "fast-91"
    return get_recipe(name, seed=seed, overrides=overrides)


def _photos(run: Run | None, judging: Recipe | None, overrides: list[str]) -> PhotosConfig:
    """How photos are read: as the run, or else the networks that judge labels, read them."""
    if judging is not None:
        if run is None:
            return judging.photos
        overrides = [override for override in overrides if _is_of_photos(override)]
    for override in overrides:
        if not _is_of_photos(override):
            raise ConfigError(
                "an audit only reads photos",
                got=override,
                allowed="photos.… such as photos.image_size=128",
                fix="With --labels, other changes are of the networks that judge them",
            )
    recipe = get_recipe("cnn") if run is None else run.recipe
    return recipe.with_overrides(overrides).photos


def _is_of_photos(override: str) -> bool:
    return override.strip().startswith("photos.")


def as_source(source: str) -> str:
    """A data set as a file of corrections names it: by its name, or by its whole path."""
    if source in (FASHION_MNIST, SAMPLE):
        return source
    return str(Path(source).expanduser().resolve())


def refuse_filled_in(path: Path) -> None:
    """Refuse to replace a file of corrections that somebody has worked on.

    Raises:
        StorageError: it has actions.
    """
    if not is_corrections(path):
        return
    rows = read_corrections(path).by_image.values()
    if done := sum(bool(row.action) for row in rows):
        raise StorageError(
            f"{path} has {done:,} actions that somebody has filled in, and was not overwritten",
            fix="Move it, or choose another folder with --out",
        )


def _write(result: Audit, collection: Collection, folder: Path) -> None:
    from .sheet import pair_sheet

    result.write_csv(folder / "duplicates.csv")
    sheet = pair_sheet(result, collection)
    picture = folder / "duplicates.png"
    if sheet is None:
        picture.unlink(missing_ok=True)  # of an earlier audit
    else:
        save_png(sheet, picture)
    if result.labels is not None:
        from .label_page import write_label_page
        from .pictures import label_pictures

        result.labels.write_csv(folder / "labels.csv")
        result.labels.write_outliers(folder / "outliers.csv")
        write_label_page(result, collection, folder / "labels.html")
        for picture_of in label_pictures(result.labels, collection):
            picture_of.save(folder)
