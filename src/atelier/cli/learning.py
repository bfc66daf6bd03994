"""The verbs up to a trained run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from .application import Data, Device, Overrides, Overwrite, Quiet, Track, app


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="The data set.")] = "fashion-mnist",
    source_dir: Annotated[
        Path | None, typer.Option("--from", help="A folder that has the four IDX files.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Replace the cached copy.")] = False,
    out: Annotated[Path, typer.Option(help="Where the pictures of the data go.")] = Path(
        "runs/data"
    ),
    quiet: Quiet = False,
) -> None:
    """Get a data set, check its bytes, and show what is in it."""
    from ..data import fetch, summarize
    from ..reporting import save_data_figures

    dataset = fetch(name, source_dir=source_dir, refresh=refresh, progress=not quiet)
    print(summarize(dataset))
    for path in save_data_figures(dataset, out / dataset.name):
        print(f"picture: {path}")


@app.command()
def train(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A name; --list shows them. Or the .json file of a saved recipe."),
    ] = None,
    data: Data = None,
    seed: Annotated[
        int | None, typer.Option(help="Of everything random. Default: 0.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. Default: runs/RECIPE-DATA-sSEED.")
    ] = None,
    overwrite: Overwrite = False,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a training that was stopped.")
    ] = None,
    init: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Start from the weights of a finished run.")
    ] = None,
    teachers: Annotated[
        list[Path] | None,
        typer.Option(
            "--teacher",
            metavar="RUN",
            help="Learn from what a finished run says, beside the labels; several times for the "
            "mean of several.",
        ),
    ] = None,
    labels: Annotated[
        int | None,
        typer.Option(
            help="How many training images have a label that is looked at, as many of each class. "
            "Default: the recipe's, mostly all.",
            show_default=False,
        ),
    ] = None,
    list_recipes: Annotated[
        bool, typer.Option("--list", help="Show the recipes with their cost, and stop.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out photos that cannot be read, and list them."),
    ] = False,
    track: Track = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a recipe; the test images are left for `evaluate`."""
    if list_recipes:
        _print_recipes()
        return
    from ..training import train

    run = train(
        recipe,
        data=data,
        seed=seed,
        overrides=[*(overrides or []), *(["photos.skip_bad=true"] if skip_bad else [])],
        out=out,
        overwrite=overwrite,
        resume=resume,
        init=init,
        teachers=teachers or (),
        labels=labels,
        track=track,
        device=device,
        progress=not quiet,
    )
    metrics = run.metrics
    accuracy = metrics["best_validation_accuracy"]
    what = "labeled images" if run.recipe.train.labels else "images"
    said = (
        f"trained on all {metrics['train_images']:,} {what} by a fixed schedule, none held out"
        if accuracy is None
        else f"validation accuracy {accuracy:.2%} on {metrics['validation_images']:,} images"
    )
    print(f"{said}, weights of epoch {metrics['kept_epoch']}, {metrics['train_seconds']:.0f} s")
    print(f"run: {run.path}")
    word = shlex.quote(str(run.path))
    if metrics["interrupted"]:
        print(f"stopped early; go on with: atelier train --resume {word}")
        raise typer.Exit(130)
    print(f"next: atelier evaluate {word}")


def _print_recipes() -> None:
    from ..models import build_model, model_cost
    from ..recipes import RECIPES

    width = max(map(len, RECIPES))
    print(f"{'recipe':<{width}} {'parameters':>11} {'multiply-adds':>14}  what it is")
    for name, build in RECIPES.items():
        recipe = build()
        side = recipe.photos.image_size
        shape = (3, side, side) if recipe.plan else (1, 28, 28)
        cost = model_cost(build_model(recipe.model, shape, 10), shape)
        what = (build.__doc__ or "").partition("\n")[0]
        print(f"{name:<{width}} {cost.parameters:>11,} {cost.multiply_adds:>14,}  {what}")
    print(
        "For ten classes and one gray image of 28 x 28 pixels, or one photo of the recipe's size."
    )
    print("Trees and nearest neighbors grow with the data; these are their sizes before fitting.")
    print("timm/NAME fine-tunes a backbone of timm, as timm/mobilenetv3_small_100.")
