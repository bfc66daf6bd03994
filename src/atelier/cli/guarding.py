"""The verbs about keys to a service."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .application import app

keys_app = typer.Typer(help="Make, list and remove the keys to a service.", rich_markup_mode=None)
app.add_typer(keys_app, name="keys")

File = Annotated[Path, typer.Option("--file", help="The file of keys.")]
Name = Annotated[str, typer.Argument(help="Of whoever holds the key.")]
_FILE = Path("atelier-keys.json")


@keys_app.command()
def add(
    name: Name,
    file: File = _FILE,
    expires: Annotated[
        str | None,
        typer.Option(
            help="How long it is good, as 12h, 90d or 4w. Default: for ever.", show_default=False
        ),
    ] = None,
) -> None:
    """Make a key and show it, once."""
    from ..serving.keys import add_key

    key, entry = add_key(file, name, expires=expires)
    until = "" if entry.expires is None else f", good until {entry.expires:%Y-%m-%d %H:%M} UTC"
    print(f"the key of {name}{until}; it is kept nowhere, so note it now:", file=sys.stderr)
    print(key)


@keys_app.command("list")
def list_keys(file: File = _FILE) -> None:
    """Show whose keys are accepted, and until when."""
    from ..serving.keys import read_keys

    keys = read_keys(file)
    if not keys:
        print(f"{file} has no keys")
    now = datetime.now(UTC)
    width = max((len(key.name) for key in keys), default=0)
    for key in keys:
        if key.expires is None:
            end = "good for ever"
        else:
            end = f"{'expired' if key.expired(now) else 'good until'} {key.expires:%Y-%m-%d %H:%M}"
        print(f"{key.name:<{width}}  made {key.created:%Y-%m-%d %H:%M}  {end}")


@keys_app.command()
def remove(name: Name, file: File = _FILE) -> None:
    """Remove a key; a running service refuses it from then on."""
    from ..serving.keys import remove_key

    remove_key(file, name)
    print(f"removed: {name}")
