"""`export`: from a run to one file that gives the run's own answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..data import ImageSplit
from ..devices import describe_machine, resolve_device
from ..errors import ConfigError, ExportError
from ..evaluation import answer_rule, calibration_of
from ..exported import Answers, ExportCard, ExportedModel
from ..exported.seal import seal_archive, seal_onnx
from ..extras import require
from ..predictions import Predictions
from ..progress import Bar, progress_bar
from ..runs import Run
from ..storage import atomic_path, explained, refuse_existing, write_json
from ..version import __version__
from .graph import Graph, to_archive, to_onnx
from .measurement import Judged, measure
from .parity import Parity
from .quantization import quantize

Format = Literal["onnx", "torch"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "torch": ".pt2"}


@dataclass(frozen=True)
class Export:
    """An export that answers as its run does; `os.fspath` gives its path.

    Attributes:
        path: of the exported file.
        parity_path: of what was measured, as JSON.
        card: what the file says of itself.
        parity: what was measured.
        size_bytes: of the file.
    """

    path: Path
    parity_path: Path
    card: ExportCard
    parity: Parity
    size_bytes: int

    def __fspath__(self) -> str:
        return str(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": str(self.path),
            "parity_path": str(self.parity_path),
            "size_bytes": self.size_bytes,
            "card": self.card.model_dump(mode="json"),
            "parity": self.parity.to_dict(),
        }

    def __str__(self) -> str:
        left = ", ".join(self.card.left_in_float)
        lines = [
            f"export: {self.path} ({self.size_bytes:,} bytes, {self.card.precision})",
            *([f"left in float32: {left}"] if left else []),
            *([self.card.rule] if self.card.rule else []),
            str(self.parity),
            f"parity: {self.parity_path}",
        ]
        return "\n".join(lines)


def export(
    run: Run | str | Path,
    format: Format = "onnx",
    *,
    out: str | Path | None = None,
    int8: bool = False,
    max_error: float | None = None,
    unknown_below: float | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Export:
    """Write a run into one file with its preprocessing, and measure that it answers as the run.

    uint8 pixels go in; logits, probabilities (calibrated where the run is) and an embedding come
    out. Classes, normalization, threshold and hashes travel in the file, which ends with its own
    SHA-256. It is compared with the run on all validation images and on 1,000 odd ones before it
    gets its name; what was measured is written beside it.

    Args:
        run: a handle or the path of a run folder.
        format: ``onnx``, which needs no torch to run, or ``torch``, a `torch.export` program.
        out: the file; None is ``RUN/exports/NAME.onnx``, ``NAME-int8.onnx`` or ``NAME.pt2``.
        int8: quantize, by images of the training part; ONNX alone.
        max_error: answer "unknown" so often that at most this share of the other answers is wrong,
            by the answers of this export to the validation images; see `evaluation.answer_rule`.
        unknown_below: answer "unknown" where the likeliest class has a lower probability.
        overwrite: replace what stands at `out`.
        progress: show a bar on standard error.

    Raises:
        ConfigError: options that exclude each other, or a share that is out of range or that cannot
            be promised.
        RunError: the run folder cannot be used, or was trained on other data than is there now.
        DataError: the data that the run was trained on are missing or corrupt.
        ExportError: the export does not answer as its run does; nothing is written.
        ExtraError: a library of the extra `export` is not installed.
        StorageError: `out` exists, no space, or no permission.
    """
    _check_options(format, int8=int8, max_error=max_error, unknown_below=unknown_below)
    run = run if isinstance(run, Run) else Run(run)
    default = run.path / "exports" / f"{run.name}{'-int8' if int8 else ''}{SUFFIXES[format]}"
    path = default if out is None else Path(out)
    if path.suffix != SUFFIXES[format]:
        raise ConfigError(
            f"a file of this format ends in {SUFFIXES[format]}",
            got=str(path),
            fix=f"Choose another --out, or --format {_other(format)}",
        )
    refuse_existing(path, overwrite=overwrite)
    if format == "onnx":
        for name in ("onnxruntime", "onnx", "onnxscript", "onnxslim"):
            require(name, extra="export")
    with progress_bar("export", 1.0, show=progress) as bar:
        return _export(run, format, path, int8, max_error, unknown_below or 0.0, bar)


def _check_options(
    format: str, *, int8: bool, max_error: float | None, unknown_below: float | None
) -> None:
    if format not in SUFFIXES:
        raise ConfigError("unknown format of an export", got=format, allowed=list(SUFFIXES))
    if int8 and format != "onnx":
        raise ConfigError("only ONNX exports are quantized", fix="Leave out --int8 or --format")
    if max_error is not None and unknown_below is not None:
        raise ConfigError("max_error and unknown_below both say when to answer unknown")
    if max_error is not None and not 0 < max_error < 1:
        raise ConfigError(
            "the error among answers is out of range", got=max_error, allowed="between 0 and 1"
        )
    if unknown_below is not None and not 0 <= unknown_below <= 1:
        raise ConfigError("a probability is out of range", got=unknown_below, allowed="0 to 1")


def _other(format: Format) -> Format:
    return "torch" if format == "onnx" else "onnx"


def _export(
    run: Run,
    format: Format,
    path: Path,
    int8: bool,
    max_error: float | None,
    threshold: float,
    bar: Bar,
) -> Export:
    bar.update(0.0, "data")
    judged = Judged.of_run(run)
    if max_error is not None and not judged.held_out:
        raise ConfigError(
            f"{run.path} held no images out that could show an error among its answers",
            fix="Set a threshold by hand with --unknown-below",
        )
    calibration = calibration_of(run)
    temperature = 1.0 if calibration is None else calibration.temperature
    model = run.model()
    bar.update(0.02, "graph")
    graph = Graph(model, run.card, temperature)
    card = ExportCard(
        name=run.name,
        recipe=run.recipe.name,
        classes=run.classes,
        image_shape=_shape(run),
        mean=run.card.mean,
        std=run.card.std,
        background=run.card.background,
        temperature=temperature,
        calibrated=calibration is not None,
        threshold=threshold,
        views=graph.pixels.num_views,
        embedding_size=model.head.in_features,
        precision="int8" if int8 else "float32",
        weights_sha256=_sha256(run.path / "model.safetensors"),
        data_fingerprint=str(run.environment.get("data_fingerprint", "")),
        atelier_version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    seal: Callable[[bytes, ExportCard], bytes]
    if format == "torch":
        data, seal = to_archive(graph), seal_archive
    else:
        onnx_model = to_onnx(graph)
        if int8:
            part = _PartOf(bar, 0.1, 0.6)
            quantized = quantize(onnx_model, judged.calibration, judged.apart, part)
            onnx_model = quantized.model
            card = card.model_copy(update={"left_in_float": quantized.left_in_float})
        data, seal = onnx_model.SerializeToString(), seal_onnx
    parity_path = path.with_name(f"{path.name}.parity.json")
    with atomic_path(path) as temporary:
        temporary.write_bytes(seal(data, card))
        parity, answers = measure(
            run, ExportedModel(temporary), judged, temperature, _PartOf(bar, 0.6, 1.0)
        )
        if not parity.passed:
            raise ExportError(
                f"the export does not answer as {run.path} does, and was not written: "
                + "; ".join(parity.failures)
            )
        if max_error is not None:
            card = _with_rule(card, judged.split, answers, max_error)
            temporary.write_bytes(seal(data, card))
        final = ExportedModel(temporary)
        # Before the file itself: an export under its own name always has its measurements.
        write_json(
            parity_path,
            {
                "file": path.name,
                "version": final.version,
                "run": run.name,
                "format": format,
                "left_in_float": list(card.left_in_float),
                **parity.to_dict(),
                "environment": _environment(format),
            },
        )
    bar.update(1.0, "done")
    return Export(path, parity_path, card, parity, path.stat().st_size)


def _with_rule(
    card: ExportCard, split: ImageSplit, answers: Answers, max_error: float
) -> ExportCard:
    scaled = (answers.logits / card.temperature).astype(np.float32)
    rule = answer_rule(Predictions(split.ids, split.labels, scaled, card.classes), max_error)
    return card.model_copy(
        update={"threshold": rule.threshold, "max_error": max_error, "rule": str(rule)}
    )


def _shape(run: Run) -> tuple[Literal[1, 3], int, int]:
    channels, height, width = run.card.image_shape
    if channels == 1:
        return 1, height, width
    if channels == 3:
        return 3, height, width
    raise ConfigError(
        f"{run.path} reads images of {channels} channels, which no image file has",
        got=channels,
        allowed=[1, 3],
    )


def _environment(format: Format) -> dict[str, str | int]:
    """What gave the export's answers: int8 depends on the processor by a little."""
    found = describe_machine(resolve_device("cpu"))
    if format == "onnx":
        found["onnxruntime"] = str(require("onnxruntime").__version__)
    return found


def _sha256(path: Path) -> str:
    with explained(path, "read"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _PartOf:
    """The stretch of a bar that one step has."""

    def __init__(self, bar: Bar, start: float, end: float) -> None:
        self._bar, self._start, self._end = bar, start, end

    def update(self, completed: float, note: str = "") -> None:
        """Say how much of the step is done, up to 1."""
        self._bar.update(self._start + (self._end - self._start) * completed, note)
