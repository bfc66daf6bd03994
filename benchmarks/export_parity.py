"""Whether exports answer as their runs do on the test images: float32 and int8, side by side.

Nothing is chosen here: an export passes its own bars on the validation images before it is written,
and what the finished file does to the test images is read once, as the final evaluation reads them.

    python -m benchmarks.export_parity RUN... [--precision float32 int8] [--results FILE]

An export that lies in the run's folder and is of its weights is taken as it is; any other is made
in a temporary folder.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime

import atelier
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.evaluation import calibration_of, judged_images
from atelier.evaluation.tables import p_value, percent, text_table
from atelier.exported import ExportedModel
from atelier.exporting.parity import (
    LARGEST_LOSS,
    LEAST_AGREEMENT,
    AccuracyDifference,
    Agreement,
    accuracy_difference,
    agreement,
)
from atelier.predictor import Predictor
from atelier.runs import Run
from atelier.storage import write_json

RESULTS = Path("benchmarks/results/export_parity.json")

Precision = Literal["float32", "int8"]


@dataclass(frozen=True)
class Row:
    """One export of one run, on the images that final results are read from.

    Attributes:
        run: its name.
        recipe: that it was trained by.
        seed: likewise.
        precision: of the export.
        version: the first digits of the file's SHA-256.
        size_bytes: of the file.
        left_in_float: layers that an int8 export computes in float32.
        seconds: of making the export, its own parity included; None where it lay there already.
        judged: what the images are called: test, or validation where the data have no test part.
        agreement: with the run.
        accuracy: of both.
    """

    run: str
    recipe: str
    seed: int
    precision: Precision
    version: str
    size_bytes: int
    left_in_float: list[str]
    seconds: float | None
    judged: str
    agreement: Agreement
    accuracy: AccuracyDifference

    @property
    def passed(self) -> bool:
        """float32: the same class everywhere outside ties. int8: at least 99 % agree, and at most
        0.2 points of accuracy are lost."""
        if self.precision == "float32":
            return self.agreement.differing == 0
        lost = (self.accuracy.only_run - self.accuracy.only_export) / self.agreement.images
        return self.agreement.share >= LEAST_AGREEMENT and lost <= LARGEST_LOSS


def measure(run: Run, precisions: Sequence[Precision]) -> list[Row]:
    """Each export of a run against the run itself."""
    dataset = atelier.load_dataset(run.recipe.data, run.recipe.photos)
    images = judged_images(run, dataset, run.judged)
    reference = Predictor.of_run(run, device="cpu").logits(images.images)
    calibration = calibration_of(run)
    temperature = 1.0 if calibration is None else calibration.temperature
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            exported, seconds = _exported(run, precision, Path(folder))
            answers = exported.answer(np.asarray(images.images))
            rows.append(
                Row(
                    run=run.name,
                    recipe=run.recipe.name,
                    seed=run.recipe.seed,
                    precision=precision,
                    version=exported.version,
                    size_bytes=exported.path.stat().st_size,
                    left_in_float=list(exported.card.left_in_float),
                    seconds=seconds,
                    judged=run.judged,
                    agreement=agreement(reference, temperature, answers),
                    accuracy=accuracy_difference(reference, answers.logits, images.labels),
                )
            )
    return rows


def _exported(run: Run, precision: Precision, folder: Path) -> tuple[ExportedModel, float | None]:
    end = "-int8" if precision == "int8" else ""
    there = run.path / "exports" / f"{run.name}{end}.onnx"
    weights = hashlib.sha256((run.path / "model.safetensors").read_bytes()).hexdigest()
    if there.is_file():
        found = ExportedModel(there)
        if found.card.weights_sha256 == weights:
            return found, None
    start = time.perf_counter()
    out = folder / f"{run.name}{end}.onnx"
    atelier.export(run, out=out, int8=precision == "int8", progress=True)
    return ExportedModel(out), time.perf_counter() - start


def table(rows: Sequence[Row]) -> str:
    """A line for each export."""
    header = [
        "run",
        "precision",
        "images",
        "same class",
        "ties",
        "logits differ by",
        "run is right",
    ]
    header += ["export is right", "run alone", "export alone", "p", "bytes", "bars"]
    return text_table(
        header,
        [
            [
                row.run,
                row.precision,
                f"{row.agreement.images:,}",
                percent(row.agreement.share),
                f"{row.agreement.ties:,}",
                f"{row.agreement.largest_logit_difference:.2g}",
                percent(row.accuracy.run),
                percent(row.accuracy.export),
                f"{row.accuracy.only_run:,}",
                f"{row.accuracy.only_export:,}",
                p_value(row.accuracy.p).removeprefix("p = "),
                f"{row.size_bytes:,}",
                "held" if row.passed else "MISSED",
            ]
            for row in rows
        ],
    )


def main(arguments: list[str] | None = None) -> int:
    """0 where every export holds its bars, 1 where one does not."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.export_parity", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of trained runs")
    parser.add_argument(
        "--precision", nargs="+", choices=["float32", "int8"], default=["float32", "int8"]
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    try:
        for path in options.runs:
            rows += measure(Run(path), options.precision)
            print(f"{path}: measured", file=sys.stderr)
        write_json(
            options.results,
            {
                "machine": {
                    **describe_machine(resolve_device("cpu")),
                    "onnxruntime": onnxruntime.__version__,
                },
                "rows": [
                    {
                        **asdict(row),
                        "agreement": {**asdict(row.agreement), "share": row.agreement.share},
                        "passed": row.passed,
                    }
                    for row in rows
                ],
            },
        )
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(table(rows))
    for row in rows:
        if row.left_in_float:
            print(f"{row.run}, {row.precision}: left in float32: {', '.join(row.left_in_float)}")
    print(f"results: {options.results}")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
