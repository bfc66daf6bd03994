"""`atelier ensemble`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from .application import Device, Overwrite, app


@app.command()
def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="Finished runs on the same data.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The new run folder. Default: runs/RECIPE-ensemble-DATA-sSEED of the first run."
        ),
    ] = None,
    soup: Annotated[
        Literal["uniform", "greedy"] | None,
        typer.Option(
            help="Average the weights instead of the answers: of all runs, or of those that make "
            "validation no worse.",
            show_default=False,
        ),
    ] = None,
    snapshots: Annotated[
        bool,
        typer.Option(
            "--snapshots", help="Of one run, what a training with train.snapshots has kept."
        ),
    ] = False,
    last: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many snapshots, from the end.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Make one run of several: the mean of their answers, or of their weights."""
    from ..ensembling import ensemble

    run = ensemble(
        runs,
        out=out,
        soup=soup,
        snapshots=snapshots,
        last=last,
        overwrite=overwrite,
        device=device,
    )
    metrics = run.metrics
    count = len(metrics["members"])
    print(
        f"made of {count} network{'' if count == 1 else 's'}: {metrics['parameters']:,} "
        f"parameters, {metrics['multiply_adds']:,} multiply-adds"
    )
    print(f"run: {run.path}")
    print(f"next: atelier evaluate {shlex.quote(str(run.path))}")
