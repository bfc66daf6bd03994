"""Tables and figures of speech for terminals and notebooks."""

from __future__ import annotations

import html
import math
import unicodedata
from collections.abc import Sequence

ABSENT = "-"


def percent(share: float | None, digits: int = 2) -> str:
    """``92.47 %``, or a dash where there is no value."""
    if share is None or math.isnan(share):
        return ABSENT
    return f"{100 * share:.{digits}f} %"


def percent_range(interval: tuple[float, float] | None, digits: int = 2) -> str:
    """``91.94 to 92.97 %``, or a dash where there is no interval."""
    if interval is None:
        return ABSENT
    low, high = interval
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def p_value(p: float) -> str:
    """``p < 0.001``, ``p = 0.0321`` or ``p = 0.41``: as many digits as a reader can use."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3g}" if p < 0.1 else f"p = {p:.2f}"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces: the first to the left, the others to the right."""
    widths = [max(map(_columns, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            " " * (width - _columns(cell)) + cell
            if index
            else cell + " " * (width - _columns(cell))
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _columns(text: str) -> int:
    """The columns of a terminal that a text takes: two for each Chinese or Japanese character."""
    return len(text) + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as an HTML table; every cell is escaped."""
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
