"""The verbs that look at what a service remembers of its answers."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from ..errors import ConfigError
from .application import DEFAULT_LOG, AsJson, Device, Overwrite, Quiet, app

log_app = typer.Typer(help="Delete from the prediction log.", rich_markup_mode=None)

Log = Annotated[
    str,
    typer.Option(
        "--log",
        metavar="URL",
        help="The prediction log: sqlite:///FILE, a file, or postgresql+psycopg://...",
    ),
]
LogData = Annotated[
    str | None,
    typer.Option(
        help="What the reference is made of, if there is none and the run does not name it.",
        show_default=False,
    ),
]
_AGO = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command()
def drift(
    reference: Annotated[
        Path,
        typer.Option(
            "--reference",
            metavar="RUN|EXPORT|FILE",
            help="What the answers should look like: the model's held-out images.",
        ),
    ],
    log: Log = DEFAULT_LOG,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="WHEN", help="From then on: 2026-01-31T12:00 (UTC), or 36h, 7d or 4w ago."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Before then.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Whose answers, where the log has several models.")
    ] = None,
    model_version: Annotated[
        str | None,
        typer.Option(help="Default: the reference's, or else the newest.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write an HTML report with pictures, too.")
    ] = None,
    overwrite: Overwrite = False,
    data: LogData = None,
    as_json: AsJson = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Whether what a service is asked, or answers, differs from what its model knows."""
    from ..monitoring import drift

    result = drift(
        log,
        reference,
        since=_moment(since),
        until=_moment(until),
        model=model,
        version=model_version,
        data=data,
        out=out,
        overwrite=overwrite,
        device=device,
        progress=not quiet,
    )
    print(json.dumps(result.to_dict(), indent=2) if as_json else result)
    if out is not None and not as_json:
        print(f"\nreport: {out}")


@app.command()
def reference(
    model: Annotated[Path, typer.Argument(help="A run folder or an export.")],
    data: LogData = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Write beside a model what its answers look like, for `drift` where there are no data."""
    from ..monitoring import reference_of, reference_path

    made = reference_of(model, data, refresh=True, device=device, progress=not quiet)
    print(f"{made.images}, {(made.predicted == made.labels).mean():.2%} of them answered right")
    print(f"reference: {reference_path(model)}")


@app.command()
def provision(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("provision"),
    overwrite: Overwrite = False,
) -> None:
    """Write a dashboard for Grafana and alert rules for Prometheus."""
    from ..monitoring import provision

    for path in provision(folder, overwrite=overwrite):
        print(path)


@log_app.command()
def prune(
    days: Annotated[float, typer.Option(min=0, help="Delete what is older; 0 deletes all.")],
    log: Log = DEFAULT_LOG,
    quiet: Quiet = False,
) -> None:
    """Delete old predictions; a service may go on writing."""
    from ..monitoring import prune_log

    print(f"deleted: {prune_log(log, days, progress=not quiet):,} predictions")


@log_app.command()
def delete(
    request_id: Annotated[str, typer.Argument(help="As the service has answered it.")],
    log: Log = DEFAULT_LOG,
) -> None:
    """Delete everything of one request."""
    from ..monitoring import delete_request

    print(f"deleted: {delete_request(log, request_id):,} predictions")


app.add_typer(log_app, name="log")


def _moment(words: str | None) -> datetime | None:
    if words is None:
        return None
    try:
        if ago := re.fullmatch(r"(\d+)([mhdw])", words.strip()):
            return datetime.now(UTC) - timedelta(**{_AGO[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(words)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            "this is no moment", got=words, allowed="as 2026-01-31, 2026-01-31T12:00 or 7d"
        ) from error
