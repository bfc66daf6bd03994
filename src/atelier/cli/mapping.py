"""`atelier embeddings`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .application import AsJson, Device, Overwrite, Quiet, app


@app.command()
def embeddings(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    method: Annotated[
        Literal["pca", "tsne", "umap", "all"], typer.Option(help="How to lay them out.")
    ] = "all",
    images: Annotated[
        int, typer.Option(help="How many to show, the classes in proportion: 10 to 10,000.")
    ] = 2_000,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of pictures and page. Default: figures of the run.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw and of the layouts.")] = 0,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Map what the network sees: PCA, t-SNE and UMAP of its embeddings, as pictures and a page."""
    from ..embeddings import embeddings

    result = embeddings(
        run,
        method=method,
        images=images,
        out=out,
        seed=seed,
        overwrite=overwrite,
        device=device,
        progress=not quiet,
    )
    if as_json:
        print(json.dumps(result.to_dict(), indent=2))
        return
    print(result)
    print(f"\npage: {result.files[-1]}")
