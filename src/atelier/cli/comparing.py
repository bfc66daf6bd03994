"""The verb that says which recipe is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .application import AsJson, Data, Device, Overrides, Overwrite, Quiet, Track, app


@app.command()
def compare(
    targets: Annotated[list[str], typer.Argument(help="Recipes or run folders.")],
    seeds: Annotated[int, typer.Option(help="Runs of each recipe.")] = 1,
    data: Data = None,
    overrides: Overrides = None,
    runs: Annotated[Path, typer.Option(help="The folder of the recipes' runs.")] = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write pictures and comparison.json there.", show_default=False
        ),
    ] = None,
    cv: Annotated[
        Literal["5x2"] | None,
        typer.Option(
            help="Train two recipes ten times each on halves of the training images, and test "
            "whether new images and seeds would turn the order. The test images are left alone.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    track: Track = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare runs, or recipes whose missing runs are trained first."""
    from ..storage import refuse_existing
    from ..sweeps import compare, compare_5x2

    if cv is not None:
        _refuse_beside_folds(targets, seeds=seeds, out=out, track=track)
        crossed = compare_5x2(
            *targets,
            data=data,
            overrides=overrides or [],
            runs=runs,
            device=device,
            progress=not quiet,
        )
        print(json.dumps(crossed.to_dict(), indent=2) if as_json else crossed)
        return
    if out is not None:  # before hours of training
        refuse_existing(out, overwrite=overwrite)
    result = compare(
        targets,
        seeds=seeds,
        data=data,
        overrides=overrides or [],
        runs=runs,
        track=track,
        device=device,
        progress=not quiet,
    )
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)
    if out is not None:
        from ..reporting.comparisons import save_comparison

        save_comparison(result, out, overwrite=overwrite)
        if not as_json:
            print(f"\ncomparison: {out}")


def _refuse_beside_folds(
    targets: list[str], *, seeds: int, out: Path | None, track: str | None
) -> None:
    from ..errors import ConfigError

    if len(targets) != 2:
        raise ConfigError("--cv 5x2 compares two recipes", got=len(targets))
    given = {"--seeds": seeds != 1, "--out": out is not None, "--track": track is not None}
    if any(given.values()):
        raise ConfigError(
            f"{next(name for name, there in given.items() if there)} has no meaning with --cv 5x2",
            fix="Leave it out: the seeds are 0 to 4, and there are no pictures",
        )
