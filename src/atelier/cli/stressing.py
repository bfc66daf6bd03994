"""The verb that makes it hard for runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from .application import AsJson, Device, Overwrite, Quiet, app


@app.command()
def robustness(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.")],
    corruptions: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="noise, blur, contrast, brightness, shift, rotation, scale, mirror, elastic, "
            "occlusion, jpeg, or none. Default: all of them.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(min=1, help="How many images to judge by; a large number is all.")
    ] = 2000,
    attacks: Annotated[str, typer.Option(metavar="NAME,NAME", help="fgsm, pgd, or none.")] = (
        "fgsm,pgd"
    ),
    radii: Annotated[
        str, typer.Option(metavar="N,N", help="Levels of 255 that an attack may change a pixel by.")
    ] = "1,2,4,8",
    attack_images: Annotated[
        int, typer.Option(min=1, help="How many of the images to attack.")
    ] = 500,
    against: Annotated[
        Path | None,
        typer.Option(
            help="The run that mean corruption errors are told beside. Default: the recipe cnn, "
            "for Fashion-MNIST's test images.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Of a table of photos, a column whose values are subgroups too.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the pictures. Default: RUN/figures, and runs/robustness for "
            "several runs.",
            show_default=False,
        ),
    ] = None,
    overwrite: Overwrite = False,
    seed: Annotated[int, typer.Option(help="Of the samples and of all that is random.")] = 0,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """How runs stand up to corrupted pictures and attacks, and for which images they fail."""
    from ..robustness import robustness

    folder = out or (runs[0] / "figures" if len(runs) == 1 else Path("runs/robustness"))
    result = robustness(
        runs,
        corruptions=None if corruptions is None else _names(corruptions),
        images=images,
        attacks=_names(attacks),
        radii=_numbers(radii),
        attack_images=attack_images,
        against=against,
        by=by,
        out=folder,
        # Where the user has named no folder, pictures of an earlier time give way.
        overwrite=overwrite or out is None,
        seed=seed,
        device=device,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2, ensure_ascii=False))
        return
    print(result)
    print(f"\nkept: {', '.join(str(run / 'robustness.json') for run in runs)}")
    print(f"pictures: {folder}")


def _names(text: str) -> list[str]:
    return [] if text == "none" else [word.strip() for word in text.split(",")]


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise ConfigError(
            "--radii takes whole numbers with commas between", got=text, fix="As --radii 1,2,4,8"
        ) from None
