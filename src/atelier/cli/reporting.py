"""The verb that tells all of one run or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .application import Device, Overwrite, Quiet, app


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    overwrite: Overwrite = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Show what the runs have; compute nothing but predictions."),
    ] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC",
            help="Leave a topic out: uncertainty, audit, explanations, robustness or embeddings.",
        ),
    ] = None,
    license: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="License of the models for their cards, as apache-2.0. Default: unspecified.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Write one HTML file about one or several runs that opens without a network, and a model card
    into each run's folder."""
    from ..reporting import report

    path = report(
        runs,
        out,
        overwrite=overwrite,
        quick=quick,
        without=without or (),
        license=license,
        device=device,
        progress=not quiet,
    )
    print(f"report: {path}")
    for run in runs:
        print(f"model card: {run / 'README.md'}")
