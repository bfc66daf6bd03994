"""The verbs that measure: runs and exports on this machine, and recipes under one budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import ConfigError
from .application import AsJson, Data, Device, Overrides, Quiet, app


@app.command()
def bench(
    targets: Annotated[
        list[Path], typer.Argument(help="Run folders and exported files (.onnx, .pt2).")
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="A data set to measure on. Default: what the contenders were trained on.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            help="The most to judge accuracy by. Default: all that were held out.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="N,N", help="Threads to try. Default: 1 and all cores.", show_default=False
        ),
    ] = None,
    batch_sizes: Annotated[
        str, typer.Option(metavar="N,N", help="Images given at once.")
    ] = "1,8,32,128",
    rounds: Annotated[
        int, typer.Option(help="Measurements of each; from 3 on, differences are told from chance.")
    ] = 5,
    seconds: Annotated[
        float, typer.Option(help="That each latency and batch size is measured for.")
    ] = 1.0,
    need: Annotated[
        Literal["latency", "throughput", "start", "memory", "size", "accuracy"] | None,
        typer.Option(help="What matters to you. Default: advice on each.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the numbers and the picture. Default: runs/bench/NAME.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure speed, memory, size and accuracy of runs and exports, and say which to use."""
    from ..benchmark.entry import bench

    folder = out or Path("runs/bench") / (targets[0].resolve().stem or "bench")
    result = bench(
        targets,
        data=data,
        images=images,
        threads=None if threads is None else _numbers("--threads", threads),
        batch_sizes=_numbers("--batch-sizes", batch_sizes),
        rounds=rounds,
        seconds=seconds,
        need=need,
        out=folder,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
    print(f"\nnumbers: {folder / 'bench.json'}")
    print(f"picture: {folder / 'bench.png'}")


@app.command("bench zoo")
def bench_zoo(
    recipes: Annotated[
        list[str] | None,
        typer.Argument(
            help="Recipes. Default: all that train from scratch in minutes.", show_default=False
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each recipe.")] = 1,
    epochs: Annotated[
        int | None,
        typer.Option(help="Budget: epochs of each training.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Budget: seconds of each training.", show_default=False),
    ] = None,
    flops: Annotated[
        float | None,
        typer.Option(
            help="Budget: floating-point operations of each training, as 1e13.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Runs, zoo.json and zoo.png; a later call adds to it. Default: runs/zoo/BUDGET.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train recipes under one budget, or each by its own schedule, and rank them by what they cost.

    Stopped by Ctrl-C, the same command goes on where it was."""
    from ..zoo import bench_zoo
    from ..zoo.entry import LEADERBOARD, PICTURE, folder_of

    board = bench_zoo(
        recipes or [],
        seeds=seeds,
        epochs=epochs,
        seconds=seconds,
        flops=flops,
        data=data,
        overrides=overrides or [],
        out=out,
        device=device,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(board.to_dict(), indent=2))
        return
    folder = folder_of(out, board.slug)
    print(board)
    print(f"\nnumbers: {folder / LEADERBOARD}")
    print(f"picture: {folder / PICTURE}")


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(
            f"{option} takes whole numbers with commas between", got=text, fix=f"As {option} 1,2"
        ) from None
