"""The verb that searches the settings of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..errors import ConfigError
from .application import AsJson, Data, Device, Overrides, Quiet, Track, app


@app.command()
def tune(
    recipe: Annotated[str, typer.Argument(help="A recipe, or the .json file of a saved one.")],
    data: Data = None,
    lr_range: Annotated[
        bool,
        typer.Option(
            "--lr-range",
            help="Search nothing, but train some steps while the learning rate rises, draw what "
            "the loss does, and suggest a rate.",
        ),
    ] = False,
    trials: Annotated[
        int | None,
        typer.Option(
            help="The most in the study, earlier ones included. Default: 30, or no limit with "
            "--minutes.",
            show_default=False,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="The most for this call, training the best again included.", show_default=False
        ),
    ] = None,
    search: Annotated[
        list[str] | None,
        typer.Option(
            "--search",
            metavar="PATH=SPEC",
            help="What to try: train.lr=1e-4..1e-1:log, model.dropout=0..0.5, "
            "model.width=64..512:64, augment.mirror=none,random. Default: what matters in nearly "
            "every recipe.",
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A JSON object of such paths and specs.", show_default=False
        ),
    ] = None,
    overrides: Overrides = None,
    pruner: Annotated[
        Literal["median", "hyperband", "none"],
        typer.Option(help="Which trials to stop early."),
    ] = "median",
    top: Annotated[int, typer.Option(help="Trials to train again with other seeds.")] = 3,
    seeds: Annotated[
        int, typer.Option(help="Seeds to train them with; 0 believes the search.")
    ] = 3,
    seed: Annotated[
        int | None, typer.Option(help="Of the search. Default: 0.", show_default=False)
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="sqlite:///FILE or postgresql+psycopg://..., which several processes may share. "
            "Default: a file in the folder of the results.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="STUDY", help="Of the study. Default: RECIPE-DATA.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the results. Default: runs/tune/STUDY.", show_default=False
        ),
    ] = None,
    track: Track = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Search the settings of a recipe by validation accuracy, and save the best one; stopped, the
    same command goes on."""
    if lr_range:
        others: dict[str, object] = {"--trials": trials, "--minutes": minutes, "--search": search}
        others |= {"--space": space, "--storage": storage, "--track": track}
        for option, value in others.items():
            if value is not None:
                raise ConfigError(
                    f"--lr-range searches nothing, and {option} is for a search",
                    fix="Leave out one of the two",
                )
        _lr_range(
            recipe,
            data=data,
            seed=seed,
            overrides=overrides or [],
            name=name,
            out=out,
            device=device,
            progress=not quiet,
            as_json=as_json,
        )
        return
    from ..tuning import tune

    result = tune(
        recipe,
        data=data,
        seed=seed,
        overrides=overrides or [],
        search=search or [],
        space=space,
        trials=trials,
        minutes=minutes,
        pruner=pruner,
        top=top,
        seeds=seeds,
        storage=storage,
        name=name,
        out=out,
        track=track,
        device=device,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
    print(f"pictures: {result.folder / 'figures'}")
    print(f"next: atelier train {result.folder / 'best.json'}")


def _lr_range(recipe: str, *, as_json: bool, **options: Any) -> None:
    from ..tuning import lr_range

    result = lr_range(recipe, **options)
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
    print(f"picture: {result.folder / 'figures' / 'lr-range.png'}")
