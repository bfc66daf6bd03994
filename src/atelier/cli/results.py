"""The verbs that read runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import ConfigError
from .application import AsJson, Device, Overwrite, Quiet, app


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    split: Annotated[
        Literal["test", "validation"] | None,
        typer.Option(
            help="Which images to judge by. Default: test, where the data set has such a part.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Judge by other labeled images: a folder of class folders, a table, or a data "
            "set. Classes are matched by name.",
            show_default=False,
        ),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out photos of --data that cannot be read.")
    ] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Predict again although predictions are kept.")
    ] = False,
    views: Annotated[
        bool,
        typer.Option(
            "--views",
            help="Show instead what mirrored and shifted views bring, on the validation images.",
        ),
    ] = False,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """How good a run is: accuracy with its interval, each class, confusions."""
    from ..evaluation import evaluate, view_gains

    if views:
        if split == "test" or data is not None:
            raise ConfigError(
                "views are compared on the validation images, so that they can be chosen by it",
                fix="Leave out --split and --data",
            )
        gains = view_gains(run, device=device)
        print(json.dumps(gains.to_dict(), indent=2) if as_json else gains)
        return
    result = evaluate(
        run,
        split=split,
        data=data,
        skip_bad=skip_bad,
        refresh=refresh,
        device=device,
        progress=not quiet,
    )
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder, or an exported file.")],
    images: Annotated[
        list[Path], typer.Argument(help="Image files of any size and mode, or folders of them.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 3,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="Swap light and dark; auto does so for gray on a light background."),
    ] = "auto",
    max_error: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help='Answer "unknown" so often that at most this share of the other answers is wrong.',
        ),
    ] = None,
    unknown_below: Annotated[
        float | None,
        typer.Option(
            metavar="P", help='Answer "unknown" where the likeliest class is less probable.'
        ),
    ] = None,
    sets: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Name the classes that the true one is among in this share of images, as 0.95.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="OUT", help="Write a table instead of lines.")
    ] = None,
    overwrite: Overwrite = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Files that cannot be read are no error.")
    ] = False,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Classes and probabilities of image files, as lines, a table (CSV) or JSON."""
    from .predicting import print_predictions

    print_predictions(
        run,
        images,
        top=top,
        invert=invert,
        max_error=max_error,
        unknown_below=unknown_below,
        sets=sets,
        csv_path=csv,
        overwrite=overwrite,
        skip_bad=skip_bad,
        as_json=as_json,
        device=device,
        progress=not quiet,
    )


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder of the runs and the report.")] = Path(
        "runs/demo"
    ),
    data: Annotated[str, typer.Option(help="The data set.")] = "fashion-mnist",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train four models, compare them, and leave a report: the whole tool in one command."""
    from ..showcase import demo

    result, path = demo(out, data=data, device=device, progress=not quiet)
    print(result)
    print(f"\nreport: {path}")
