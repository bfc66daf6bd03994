"""The verb that asks how far a run's answers can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .application import AsJson, Device, Quiet, app


@app.command()
def uncertainty(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    unknowns: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER|DATA",
            help="Images that show no class of the run, beside the drawn ones: a folder of image "
            "files, or a data set.",
            show_default=False,
        ),
    ] = None,
    level: Annotated[
        float, typer.Option(help="The share of sets of classes that are to hold the true one.")
    ] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn and resampled.")] = 0,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """How far the probabilities can be trusted, and whether the unknown is noticed."""
    from ..uncertainty import uncertainty

    result = uncertainty(
        run, unknowns=unknowns, level=level, seed=seed, device=device, progress=not quiet
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        return
    print(result)
    print(f"\npictures: {run / 'figures'}/uncertainty-*.png")
