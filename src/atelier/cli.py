"""The command line: parse, call one function, print."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import __version__
from .errors import AtelierError

# What typer raises for words that it cannot parse; it keeps its own copy of click private.
_UsageError: Any = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="atelier",
    help="Train, compare, understand and ship classifiers of fashion images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone takes longer to import than help may take
    context_settings={"help_option_names": ["-h", "--help"]},
)

Data = Annotated[
    str | None,
    typer.Option(
        help="fashion-mnist, fashion-mnist-sample, or a folder of IDX files. "
        "Default: the recipe's own, fashion-mnist.",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Change a field of the recipe, as train.lr=0.01."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[  # noqa: ARG001 - read by main(), which needs it before parsing has succeeded
        bool, typer.Option("--debug", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """Train, compare, understand and ship classifiers of fashion images."""
    if version:
        print(f"atelier {__version__}")
        raise typer.Exit


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
    from .data import fetch, summarize
    from .reporting import save_data_figures

    dataset = fetch(name, source_dir=source_dir, refresh=refresh, progress=not quiet)
    print(summarize(dataset))
    for path in save_data_figures(dataset, out / dataset.name):
        print(f"picture: {path}")


@app.command()
def train(
    recipe: Annotated[str | None, typer.Argument(help="A name; --list shows them.")] = None,
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
    list_recipes: Annotated[
        bool, typer.Option("--list", help="Show the recipes with their cost, and stop.")
    ] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a recipe; the test images are left for `evaluate`."""
    if list_recipes:
        _print_recipes()
        return
    from .training import train

    run = train(
        recipe,
        data=data,
        seed=seed,
        overrides=overrides or [],
        out=out,
        overwrite=overwrite,
        resume=resume,
        device=device,
        progress=not quiet,
    )
    metrics = run.metrics
    accuracy = metrics["best_validation_accuracy"]
    said = (
        f"trained on all {metrics['train_images']:,} images by a fixed schedule, none held out"
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


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    split: Annotated[
        Literal["test", "validation"], typer.Option(help="Which images to judge by.")
    ] = "test",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Predict again although predictions are kept.")
    ] = False,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """How good a run is: accuracy with its interval, each class, confusions."""
    from .evaluation import evaluate

    result = evaluate(run, split=split, refresh=refresh, device=device)
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)


@app.command()
def compare(
    targets: Annotated[list[str], typer.Argument(help="Recipes or run folders.")],
    seeds: Annotated[int, typer.Option(help="Runs of each recipe.")] = 1,
    data: Data = None,
    overrides: Overrides = None,
    runs: Annotated[Path, typer.Option(help="The folder of the recipes' runs.")] = Path("runs"),
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Compare runs, or recipes whose missing runs are trained first."""
    from .sweeps import compare

    result = compare(
        targets,
        seeds=seeds,
        data=data,
        overrides=overrides or [],
        runs=runs,
        device=device,
        progress=not quiet,
    )
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    images: Annotated[list[Path], typer.Argument(help="Image files of any size and mode.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 3,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="Swap light and dark; auto does so for gray on a light background."),
    ] = "auto",
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Classes and probabilities of image files."""
    from .predictor import predict

    results = predict(run, images, invert=invert, device=device)
    if as_json:
        rows = [
            {"path": r.path, "class": r.predicted, "probs": r.probs, "inverted": r.inverted}
            for r in results
        ]
        print(json.dumps(rows, indent=2))
        return
    for result in results:
        likeliest = list(result.probs.items())[:top]
        words = "  ".join(f"{name} {share:.1%}" for name, share in likeliest)
        note = "  (light background: light and dark were swapped)" if result.inverted else ""
        print(f"{result.path}: {words}{note}")


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("report.html"),
    overwrite: Overwrite = False,
    device: Device = "auto",
) -> None:
    """Write one HTML file about one or several runs that opens without a network."""
    from .reporting import report

    print(f"report: {report(runs, out, overwrite=overwrite, device=device)}")


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
    from .showcase import demo

    result, path = demo(out, data=data, device=device, progress=not quiet)
    print(result)
    print(f"\nreport: {path}")


def _print_recipes() -> None:
    from .models import build_model, model_cost
    from .recipes import RECIPES

    shape = (1, 28, 28)
    print(f"{'recipe':<10} {'parameters':>11} {'multiply-adds':>14}  what it is")
    for name, build in RECIPES.items():
        cost = model_cost(build_model(build().model, shape, 10), shape)
        what = (build.__doc__ or "").partition("\n")[0]
        print(f"{name:<10} {cost.parameters:>11,} {cost.multiply_adds:>14,}  {what}")
    print("For one gray image of 28 x 28 pixels and ten classes.")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code.

    0 is success, 1 a defect of atelier, 2 something that the user can mend, 130 Ctrl-C.
    """
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    # Accepted anywhere, for people add it to the end of the line that failed.
    words = [word for word in words if word != "--debug"]
    code: Any = 0
    try:
        # Not `app(words)`, which would take Ctrl-C and a reader that has gone for itself.
        command = typer.main.get_command(app)
        with command.make_context("atelier", list(words)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as stop:
        code = stop.exit_code
    except _UsageError as error:
        if not words:  # `atelier` alone: the help is the answer
            print(error.format_message())
        else:
            verb = f" {words[0]}" if words[0] in _verbs() else ""
            # Typer's own message, without the name of the exception that it wraps.
            said = error.format_message().replace("Value error, ", "").rstrip(".?")
            _complain(f"{said}. See `atelier{verb} --help`")
        code = 2
    except AtelierError as error:
        if debug:
            raise
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        # The reader has gone, as `| head` does: nothing is wrong, and nothing can be said.
        _drop_output()
        code = 141
    except (KeyboardInterrupt, typer.Abort):
        _complain("stopped")
        code = 130
    except Exception as error:
        if debug:
            raise
        _complain(f"a defect of atelier, {type(error).__name__}: {error}. Add --debug to see where")
        code = 1
    sys.exit(code)


def _verbs() -> set[str]:
    return {command.callback.__name__ for command in app.registered_commands if command.callback}


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(line: str) -> None:
    print(f"error: {' '.join(line.split())}", file=sys.stderr)


if __name__ == "__main__":
    main()
