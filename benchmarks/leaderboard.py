"""The README's leaderboard and its picture, from what `atelier bench zoo` measured.

python -m benchmarks.leaderboard
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from atelier.drawing.canvas import save_png
from atelier.errors import AtelierError
from atelier.zoo import Leaderboard
from atelier.zoo.picture import leaderboard_figure

from .sections import Section

ROOT = Path(__file__).parent.parent
SECTION = Section("leaderboard", "python -m benchmarks.leaderboard")


def leaderboard_text(board: Leaderboard, picture: str) -> str:
    """The table in Markdown, with the picture and what a reader must know.

    Args:
        board: what is not in there is not mentioned.
        picture: its address in Markdown.
    """
    header, rows = board.rows()
    table = [
        "| " + " | ".join(cells) + " |"
        for cells in (header, ["---"] * len(header), *([r[0], f"`{r[1]}`", *r[2:]] for r in rows))
    ]
    words = ". ".join(line[0].upper() + line[1:] for line in board.words())
    return "\n".join([f"{words}.", "", *table, "", f"![Accuracy against cost]({picture})"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    add = parser.add_argument
    add("--results", type=Path, default=ROOT / "benchmarks" / "results" / "zoo.json")
    add("--picture", type=Path, default=ROOT / "docs" / "images" / "zoo.png")
    add("--readme", type=Path, default=ROOT / "README.md")
    options = parser.parse_args(arguments)
    try:
        board = Leaderboard.load(options.results)
        save_png(leaderboard_figure(board), options.picture)
        picture = Path(os.path.relpath(options.picture, options.readme.parent)).as_posix()
        SECTION.write(options.readme, leaderboard_text(board, picture))
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"written: {options.readme}, {options.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
