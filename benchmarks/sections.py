"""Sections of the README that a script writes from its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from atelier.errors import RunError
from atelier.storage import explained, write_text


@dataclass(frozen=True)
class Section:
    """A place between two comments.

    Attributes:
        name: of the section.
        command: that writes it.
    """

    name: str
    command: str

    @property
    def start(self) -> str:
        """The line before it."""
        return f"<!-- {self.name}: written by {self.command} -->"

    @property
    def end(self) -> str:
        """The line behind it."""
        return f"<!-- /{self.name} -->"

    def write(self, readme: Path, text: str) -> None:
        """Put `text` between the two lines of `readme`.

        Raises:
            StorageError: the file cannot be read or written.
            RunError: it does not have the two lines, in their order.
        """
        with explained(readme, "read"):
            page = readme.read_text(encoding="utf-8")
        before, start, rest = page.partition(self.start)
        _, end, after = rest.partition(self.end)
        if not (start and end):
            raise RunError(
                f"{readme} has no place for the {self.name} section",
                fix=f"Put the lines {self.start} and {self.end} where it shall stand",
            )
        write_text(readme, f"{before}{self.start}\n\n{text}\n\n{self.end}{after}")
