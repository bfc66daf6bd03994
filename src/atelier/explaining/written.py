"""Where the pictures of explanations go."""

from __future__ import annotations

from pathlib import Path

from ..drawing.canvas import jpeg_bytes, png_bytes, write_bytes
from ..errors import ConfigError
from .result import Explanations

_WRITERS = {".png": png_bytes, ".jpg": jpeg_bytes, ".jpeg": jpeg_bytes}
_MOST_ROWS = 40  # of one file, which is then taller than most programs like


def refuse_suffix(out: Path) -> None:
    """Refuse a file that is of no kind that can be written; folders have no suffix.

    Raises:
        ConfigError: as said.
    """
    if out.suffix and out.suffix.lower() not in _WRITERS and not out.is_dir():
        raise ConfigError(
            "pictures of explanations cannot be of this kind",
            got=out.name,
            allowed=f"{', '.join(_WRITERS)}, or a folder",
        )


def write_explanations(
    explanations: Explanations, out: Path | None, *, default: Path
) -> list[Path]:
    """Write one picture of all images into a file, or one of each and the maps into a folder.

    Args:
        explanations: at least one.
        out: a ``.png`` or ``.jpg`` file, or a folder; None is ``explanations.png`` (``.jpg`` of
            photos) in `default`, where what an earlier call has left is replaced.
        default: a folder.

    Returns:
        The paths of the pictures.

    Raises:
        ConfigError: more images than a file can show, or a file of another kind.
        StorageError: no space or no permission.
    """
    if out is None:
        for old in default.glob("explanations*.[pj][np]g"):
            old.unlink()
        return [picture.save(default) for picture in explanations.pictures(rows=_MOST_ROWS)]
    refuse_suffix(out)
    write = _WRITERS.get(out.suffix.lower())
    if write is None or out.is_dir():
        return explanations.save(out)
    if len(explanations.items) > _MOST_ROWS:
        raise ConfigError(
            "these are more images than one file can show",
            got=len(explanations.items),
            allowed=f"up to {_MOST_ROWS}",
            fix="Name a folder with --out",
        )
    (picture,) = explanations.pictures(rows=_MOST_ROWS)
    write_bytes(out, write(picture.figure))
    return [out]
