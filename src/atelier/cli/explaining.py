"""The verb that asks a run for its reasons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .application import AsJson, Device, Overwrite, Quiet, app


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Image files of any size and mode, or folders of them."),
    ] = None,
    errors: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="So many errors of the test images, the surest first. Default, where nothing else "
            "is named: 8.",
            show_default=False,
        ),
    ] = None,
    ids: Annotated[
        str | None, typer.Option(metavar="3,17", help="Test images by their ids, with commas.")
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="grad-cam, integrated-gradients, occlusion, smoothgrad, rollout, with commas. "
            "Default: all that apply to the network.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--class", metavar="NAME", help="Explain this class and not the answer."),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Explain it against this class, and what turns it into that."
        ),
    ] = None,
    neighbors: Annotated[
        int, typer.Option(min=0, help="Nearest training images to show for each.")
    ] = 4,
    flips: Annotated[
        bool, typer.Option("--flips/--no-flips", help="Look for what turns the answer.")
    ] = True,
    invert: Annotated[
        Literal["auto", "yes", "no"],
        typer.Option(help="Swap light and dark; auto does so for gray on a light background."),
    ] = "auto",
    checks: Annotated[
        bool, typer.Option("--check", help="Also ask what the maps are worth, on 32 test images.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A .png or .jpg file, or a folder for a picture of each image and the maps as "
            "numbers. Default: RUN/figures/explanations.png.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Why a run takes images for what it takes them for: maps, nearest training images, flips."""
    from ..explaining import explain
    from ..explaining.written import refuse_suffix, write_explanations
    from ..storage import refuse_existing

    if out is not None:
        refuse_suffix(out)
        refuse_existing(out, overwrite=overwrite)
    result = explain(
        run,
        images or [],
        errors=errors,
        ids=_numbers(ids),
        methods=None if methods is None else [name.strip() for name in methods.split(",")],
        target=target,
        against=against,
        neighbors=neighbors,
        flips=flips,
        invert=invert,
        checks=checks,
        device=device,
        progress=not quiet,
    )
    paths = write_explanations(result, out, default=run / "figures")
    if as_json:
        print(json.dumps({**result.to_dict(), "pictures": list(map(str, paths))}, indent=2))
        return
    print(result)
    print("\n" + "\n".join(f"picture: {path}" for path in paths))


def _numbers(text: str | None) -> list[int]:
    try:
        return [int(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} are no ids: give numbers with commas between them, as 3,17",
            param_hint="--ids",
        ) from error
