"""Self-contained HTML pages: their style, their parts, and how they are filled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page_template(folder: Path, name: str) -> Any:
    """The template `name` of `folder`, which may include ``style.css`` and import
    ``parts.html.j2`` of this package. All that is put into it is escaped."""
    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
