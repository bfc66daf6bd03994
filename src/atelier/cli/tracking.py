"""The verb that sends finished runs to MLflow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .application import AsJson, Quiet, app


@app.command()
def track(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    to: Annotated[
        str,
        typer.Option(
            help="mlflow for $MLFLOW_TRACKING_URI or else sqlite:///runs/mlflow.db, or mlflow:URI."
        ),
    ] = "mlflow",
    experiment: Annotated[
        str | None,
        typer.Option(help="Default: the name of the data set.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Send finished runs to MLflow, or what it lacks of them."""
    from ..tracking import track

    result = track(runs, to, experiment=experiment, progress=not quiet)
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)
