"""`audit`: from a data set to what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..config import Recipe
from ..data import obtain_dataset
from ..data.balance import balance_warnings
from ..data.duplicates import find_pairs
from ..drawing.canvas import save_png
from ..errors import ConfigError
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
    device: str = "auto",
    progress: bool = True,
) -> Audit:
    """Look for copies, contradictory labels, leaks between parts, and images that show nothing.

    Nothing is left out of the data and nothing is changed. Files that cannot be read are skipped,
    and the notes say so.

    Args:
        data: a data set's name, a folder or a table.
        run: a run whose network is asked for look-alikes too; photos are then read as it reads
            them.
        out: a folder for ``duplicates.csv`` (all pairs) and ``duplicates.png`` (the worst); None
            writes nothing.
        overrides: ``photos.…=value`` strings such as ``photos.image_size=128``.
        device: of the run's network: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.

    Raises:
        ConfigError: an override that is not about photos, or does not fit.
        DataError: the data set is missing or corrupt.
        RunError: the run is not finished, or takes images of another shape.
        StorageError: `out` cannot be written.
    """
    source = str(data)
    known = run if isinstance(run, Run) or run is None else Run(run)
    recipe = _recipe(known, overrides)
    # Nothing that an audit is to find may be left out before, and no part cut by chance.
    looking = {"keep_duplicates": True, "skip_bad": True, "test_share": 0.0}
    photos = recipe.photos.model_copy(update=looking)
    dataset = obtain_dataset(source, photos, progress=progress)
    collection = Collection(dataset)
    copies = find_pairs(collection, collection.hashes(progress=progress), progress=progress)
    lookalikes = None
    if known is not None:
        from .lookalikes import find_lookalikes  # torch is wanted only here

        lookalikes = find_lookalikes(collection, known, device=device, progress=progress)
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
            for k, width, height in collection.small(source, progress=progress)
        ),
        warnings=tuple(balance_warnings(dataset.classes, dataset.train.labels, held_out)),
        notes=() if dataset.photos is None else dataset.photos.notes,
    )
    if out is not None:
        _write(result, collection, Path(out))
    return result


def _recipe(run: Run | None, overrides: Iterable[str]) -> Recipe:
    recipe = get_recipe("cnn") if run is None else run.recipe
    overrides = list(overrides)
    for override in overrides:
        if not override.strip().startswith("photos."):
            raise ConfigError(
                "an audit only reads photos",
                got=override,
                allowed="photos.… such as photos.image_size=128",
            )
    return recipe.with_overrides(overrides)


def _write(result: Audit, collection: Collection, folder: Path) -> None:
    from .sheet import pair_sheet

    result.write_csv(folder / "duplicates.csv")
    sheet = pair_sheet(result, collection)
    picture = folder / "duplicates.png"
    if sheet is None:
        picture.unlink(missing_ok=True)  # of an earlier audit
    else:
        save_png(sheet, picture)
