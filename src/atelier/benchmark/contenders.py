"""Who is measured: a run in eager torch, or an exported file."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import ConfigError, RunError

if TYPE_CHECKING:
    from ..runs import Run

Target: TypeAlias = "str | os.PathLike[str] | Run"
Kind = Literal["run", "onnx", "pt2"]
_WORDS: dict[Kind, str] = {
    "run": "eager torch",
    "onnx": "ONNX Runtime",
    "pt2": "torch.export",
}
# Of a run folder, what it needs to answer; the rest is its history.
_NEEDED = ("model.safetensors", "model.json", "calibration.json")


@dataclass(frozen=True)
class Contender:
    """One way to get answers from trained weights.

    Attributes:
        name: of the run folder or the file; the whole path where two have the same.
        kind: ``run``, ``onnx`` or ``pt2``.
        path: of the run folder or the file.
        size_bytes: on disk; of a run, the files that it needs to answer.
        precision: ``float32`` or ``int8``.
        classes: names, in the order of the answers.
        image_shape: (C, H, W) that it reads.
        data_fingerprint: of the data that the weights were trained on.
        weights_sha256: of the run's weights, which its exports remember.
        run: the folder whose held-out images may judge it; None where it is not known.
        known_accuracy: on images that were held out, as was found when it was exported; None where
            it was not.
        known_images: what it was found on.
    """

    name: str
    kind: Kind
    path: Path
    size_bytes: int
    precision: str
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    data_fingerprint: str
    weights_sha256: str
    run: Path | None = None
    known_accuracy: float | None = None
    known_images: str = ""

    @property
    def what(self) -> str:
        """The runtime and the precision in words."""
        return f"{_WORDS[self.kind]}, {self.precision}"


def read_contenders(targets: Sequence[Target]) -> list[Contender]:
    """The contenders that `targets` name, in their order, each with a name of its own.

    Raises:
        ConfigError: none or the same one twice, or contenders that do not answer the same question:
            of other classes or other image shapes.
        RunError: a run folder cannot be used.
        ExportError: an export cannot be used.
    """
    if not targets:
        raise ConfigError("there is nothing to measure", fix="Give run folders or exported files")
    paths = [Path(one) if isinstance(one, str | os.PathLike) else one.path for one in targets]
    for path, times in Counter(path.resolve() for path in paths).items():
        if times > 1:
            raise ConfigError(f"{path} is given twice", fix="Give each contender once")
    found = [_read(path) for path in paths]
    _refuse_unlike(found)
    names = Counter(one.name for one in found)
    return [replace(one, name=str(one.path)) if names[one.name] > 1 else one for one in found]


def _read(path: Path) -> Contender:
    kinds: dict[str, Kind] = {".onnx": "onnx", ".pt2": "pt2"}
    kind = kinds.get(path.suffix.lower())
    if kind is None or path.is_dir():
        return _of_run(path)
    return _of_export(path, kind)


def _of_run(path: Path) -> Contender:
    from ..runs import Run

    if path.is_file():
        raise RunError(
            f"{path} is neither a run folder nor an export",
            allowed="a run folder, a .onnx file, a .pt2 file",
        )
    run = Run(path)
    sizes = [(path / name).stat().st_size for name in _NEEDED if (path / name).is_file()]
    return Contender(
        run.name,
        "run",
        path,
        sum(sizes),
        "float32",
        run.classes,
        run.card.image_shape,
        fingerprint_of(run),
        hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest(),
        path,
    )


def _of_export(path: Path, kind: Kind) -> Contender:
    from ..exported.seal import read_sealed

    sealed = read_sealed(path)
    card = sealed.card
    accuracy, images = _found_at_export(path, sealed.sha256)
    return Contender(
        path.name,
        kind,
        path,
        path.stat().st_size,
        card.precision,
        card.classes,
        card.image_shape,
        card.data_fingerprint,
        card.weights_sha256,
        _run_of(path, card.data_fingerprint),
        accuracy,
        images,
    )


def fingerprint_of(run: Run) -> str:
    """Of the data that a run was trained on."""
    return str(run.environment.get("data_fingerprint", ""))


def _run_of(path: Path, data_fingerprint: str) -> Path | None:
    """The run that an export lies in, as RUN/exports/NAME.onnx, if it was trained on these data."""
    folder = path.resolve().parent.parent
    if path.resolve().parent.name != "exports" or not (folder / "recipe.json").is_file():
        return None
    try:
        from ..runs import Run

        run = Run(folder)
        return folder if fingerprint_of(run) == data_fingerprint else None
    except (ModuleNotFoundError, RunError):  # without torch, or a folder that is no run any more
        return None


def _refuse_unlike(found: Sequence[Contender]) -> None:
    first = found[0]
    for other in found[1:]:
        if set(other.classes) != set(first.classes):
            raise ConfigError(
                f"{first.path} and {other.path} know other classes: they answer other questions",
                fix="Measure them one by one",
            )
        if other.image_shape != first.image_shape:
            raise ConfigError(
                f"{first.path} and {other.path} read images of another shape",
                got=f"{_shape(first)} and {_shape(other)}",
                fix="Measure them one by one",
            )


def _shape(contender: Contender) -> str:
    return " x ".join(map(str, contender.image_shape))


def _found_at_export(path: Path, sha256: str) -> tuple[float | None, str]:
    """The accuracy that stands beside an export, and what it was measured on: if it is of this very
    file, and of images that were held out."""
    try:
        found = json.loads(path.with_name(f"{path.name}.parity.json").read_bytes())
        accuracy, images = float(found["accuracy"]["export"]), str(found["images"])
        if found["version"] == sha256[:12] and "validation" in images:
            return accuracy, f"{found['labeled']['images']:,} {images}"
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or another's: nothing is known
    return None, ""
