"""`atelier few-shot`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .application import AsJson, Device, Quiet, app


@app.command("few-shot")
def few_shot(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    ways: Annotated[int, typer.Option(help="Classes of an episode, from 2.")] = 5,
    shots: Annotated[int, typer.Option(help="Images of each class that are known.")] = 5,
    queries: Annotated[int, typer.Option(help="Images of each class to assign.")] = 15,
    episodes: Annotated[int, typer.Option(help="How many to draw, from 2.")] = 600,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="A class to draw from, by name or number; several times for several. Default: "
            "what the run's train.held_out names.",
            show_default=False,
        ),
    ] = None,
    final: Annotated[
        bool,
        typer.Option("--final", help="Draw test images, once all choices are made."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Judge a run by classes of which it is shown a few images, as those held out of training."""
    from ..few_shot import few_shot

    result = few_shot(
        run,
        ways=ways,
        shots=shots,
        queries=queries,
        episodes=episodes,
        classes=classes or (),
        final=final,
        seed=seed,
        device=device,
        progress=not quiet,
    )
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)
