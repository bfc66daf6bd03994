"""The verb that looks at data before anything is trained on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .application import AsJson, Device, Overrides, Quiet, app


@app.command()
def audit(
    data: Annotated[
        str,
        typer.Argument(
            help="A data set, a folder of class folders, a table of photos, or corrections."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the tables and pictures. Default: runs/audit/NAME.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Ask this run's network for look-alikes too.")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Look for wrong labels, outliers and classes that overlap too: takes minutes.",
        ),
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Of the networks that judge labels. Default: fast-91, or photos-fast for photos.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int, typer.Option(min=2, help="How many networks; each learns from all folds but one.")
    ] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and the networks.")] = 0,
    overrides: Overrides = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Find copies, contradictory or wrong labels, leaks between parts and empty images."""
    from ..auditing import audit

    folder = out or Path("runs/audit") / (Path(data).expanduser().resolve().stem or "data")
    result = audit(
        data,
        run=run,
        out=folder,
        overrides=overrides or [],
        labels=labels,
        recipe=recipe,
        folds=folds,
        seed=seed,
        device=device,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
    print(f"\nall pairs: {folder / 'duplicates.csv'}")
    if result.pairs:
        print(f"picture: {folder / 'duplicates.png'}")
    if result.labels is None:
        print("likely wrong labels: add --labels")
        return
    print(f"likely wrong labels, to look through: {folder / 'labels.html'}")
    print(
        f"to act on: {folder / 'labels.csv'}; write keep, relabel, drop or a class into its column "
        "'action', and give the file as --data"
    )
