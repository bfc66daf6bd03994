"""`atelier export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..extras import require
from .application import AsJson, Overwrite, Quiet, app


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    format: Annotated[
        Literal["onnx", "torch"],
        typer.Option(help="onnx runs without torch; torch is a torch.export program."),
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="Quantize, with training images to measure ranges.")
    ] = False,
    max_error: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help='Have it answer "unknown" so often that at most this share of the other answers '
            "is wrong.",
        ),
    ] = None,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help='Have it answer "unknown" where the likeliest class is less probable.',
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file. Default: RUN/exports/NAME.onnx, NAME-int8.onnx or NAME.pt2."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a run into one file with its preprocessing, and measure that it answers the same."""
    require("torch", extra="export")
    from ..exporting import export

    result = export(
        run,
        format,
        out=out,
        int8=int8,
        max_error=max_error,
        unknown_below=unknown_below,
        overwrite=overwrite,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
