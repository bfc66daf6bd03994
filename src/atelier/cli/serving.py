"""`atelier serve`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from .application import DEFAULT_LOG, Quiet, app


@app.command()
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN|EXPORT...",
            help="What answers; the first where a client names none. A run is exported first.",
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Where to listen; others than this machine's own need --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 is any that is free.")] = 8000,
    keys: Annotated[
        Path | None,
        typer.Option(help="Ask for a key of this file, which `atelier keys` makes."),
    ] = None,
    log: Annotated[
        str,
        typer.Option(metavar="URL", help="sqlite:///FILE or postgresql+psycopg://..., or none."),
    ] = DEFAULT_LOG,
    retention_days: Annotated[
        float | None,
        typer.Option(
            help="Delete predictions that are older. Default: keep them.", show_default=False
        ),
    ] = None,
    page: Annotated[bool, typer.Option(help="Have a page for people.")] = True,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Threads that run models. Default: one for each core.", show_default=False
        ),
    ] = None,
    max_batch: Annotated[int, typer.Option(help="Images that a model is given at once.")] = 32,
    max_delay_ms: Annotated[
        float,
        typer.Option(help="How long a batch waits for images that are being decoded."),
    ] = 2.0,
    queue_size: Annotated[
        int, typer.Option(help="Images that may wait; above it requests get a 503.")
    ] = 256,
    deadline_ms: Annotated[
        float, typer.Option(help="A request that no model has by then gets a 503.")
    ] = 2000.0,
    limits: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="NAME=VALUE",
            help="Of one client, as max_images=16, max_body_bytes=1000000 or rate_per_s=5.",
        ),
    ] = None,
    open_metrics: Annotated[
        bool, typer.Option("--open-metrics", help="Ask for no key at /metrics.")
    ] = False,
    host_names: Annotated[
        list[str] | None,
        typer.Option("--host-name", metavar="NAME", help="By which clients call the service."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Tell more of what is done.")] = False,
    quiet: Quiet = False,
) -> None:
    """Answer over HTTP, with a page, until stopped by Ctrl-C or SIGTERM."""
    from ..serving import serve
    from ..serving.entry import limits_of

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.getLogger("atelier").setLevel(logging.INFO)
    options: dict[str, Any] = {
        "keys_file": keys,
        "log": None if log == "none" else log,
        "log_retention_days": retention_days,
        "page": page,
        "workers": workers,
        "max_batch": max_batch,
        "max_delay_ms": max_delay_ms,
        "queue_size": queue_size,
        "deadline_ms": deadline_ms,
        "limits": limits_of(limits or []),
        "open_metrics": open_metrics,
        "host_names": tuple(host_names or ()),
    }
    serve(models, host=host, port=port, progress=not quiet, **options)
