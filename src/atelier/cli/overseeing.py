"""`atelier dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .application import app


@app.command()
def dashboard(
    runs: Annotated[Path, typer.Argument(help="The folder that holds run folders.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="0 is any that is free.")] = 7861,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Look through many runs in a browser: filter, curves, confusions, thresholds, tests."""
    from ..dashboard import dashboard

    dashboard(runs, port=port, browser=browser)
