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
        str, typer.Argument(help="A data set, a folder of class folders, or a table of photos.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the table and the picture of pairs. Default: runs/audit/NAME.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Ask this run's network for look-alikes too.")
    ] = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Find copies, contradictory labels, leaks between parts and empty images in a data set."""
    from ..auditing import audit

    folder = out or Path("runs/audit") / (Path(data).expanduser().resolve().stem or "data")
    result = audit(
        data,
        run=run,
        out=folder,
        overrides=overrides or [],
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
