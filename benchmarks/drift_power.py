"""How often `atelier drift` finds what has changed, and how often it cries wolf.

The traffic is drawn from the test images, the reference is of the validation images: no image is on
both sides. Each sample is one of:

    none      nothing has changed: what is found is a false alarm, and 5 % of them are promised
    mirror    a share of the images is mirrored
    invert    a share of the images has light and dark swapped
    double    one class is asked for twice as often, each class in turn

It also says how far the estimated accuracy is from the true one, which the labels of the test
images tell. Nothing is trained or chosen by any of it.

    python -m benchmarks.drift_power RUN|EXPORT [--samples 20] [--predictions 2000] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import atelier
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError, DataError
from atelier.evaluation.tables import percent, text_table
from atelier.monitoring import Drift, Reference, image_facts, reference_of
from atelier.monitoring.comparison import compared
from atelier.monitoring.reference import model_at
from atelier.monitoring.traffic import FEWEST_PREDICTIONS, Traffic
from atelier.progress import progress_bar
from atelier.storage import write_json

CHANGES = ("none", "mirror", "invert", "double")
_BATCH = 256


@dataclass(frozen=True)
class Pool:
    """Test images with what the log would keep of them, as they are or changed.

    Attributes:
        labels: (N,).
        parts: by ``none``, ``mirror`` and ``invert`` the probabilities, embeddings, statistics and
            thumbnails of all N images.
    """

    labels: npt.NDArray[np.int64]
    parts: dict[str, tuple[npt.NDArray[Any], ...]]

    def sample(self, change: str, n: int, share: float, number: int) -> tuple[Traffic, float]:
        """N images, of which some are changed, and the accuracy on them.

        Args:
            change: one of `CHANGES`.
            n: how many images.
            share: of them that is mirrored or inverted.
            number: of the sample: its seed, and for ``double`` the class.
        """
        rng = np.random.default_rng([number, n, CHANGES.index(change)])
        weights = np.ones(len(self.labels))
        if change == "double":
            weights[self.labels == number % (self.labels.max() + 1)] = 2
        at = rng.choice(len(self.labels), n, replace=False, p=weights / weights.sum())
        changed = rng.permutation(n)[: round(share * n)]
        arrays = [part[at].copy() for part in self.parts["none"]]
        if change in self.parts:
            for own, other in zip(arrays, self.parts[change], strict=True):
                own[changed] = other[at[changed]]
        probs, embedding, stats, thumbnails = arrays
        predicted = probs.argmax(axis=1).astype(np.int64)
        traffic = Traffic(
            model="benchmark",
            version="",
            times=np.arange(n, dtype=np.float64),
            predicted=predicted,
            confidence=probs.max(axis=1),
            unknown=np.zeros(n, bool),
            embedding=embedding,
            stats=stats,
            thumbnails=thumbnails,
            labels=np.full(n, -1, np.int64),
            lost=0,
            notes=(),
        )
        return traffic, float((predicted == self.labels[at]).mean())


@dataclass
class Row:
    """What was found in the samples of one change.

    Attributes:
        change: one of `CHANGES`.
        predictions: in each sample.
        samples: how many.
        found: in how many of them anything was found.
        tests: in how many each test found something.
        errors: of the estimated accuracy: by confidences, by confident answers, by classes; the
            mean absolute difference from the true one.
        covered: in how many samples the interval by confidences held the true accuracy.
    """

    change: str
    predictions: int
    samples: int = 0
    found: int = 0
    tests: Counter[str] = field(default_factory=Counter)
    errors: list[float] = field(default_factory=lambda: [0.0] * 3)
    covered: int = 0

    def add(self, drift: Drift, accuracy: float) -> None:
        """Count one sample."""
        self.samples += 1
        self.found += drift.drifted
        self.tests.update(finding.key for finding in drift.findings if finding.drifted)
        found = drift.accuracy
        for place, one in enumerate((found.by_confidence, found.by_threshold, found.by_classes)):
            total = self.errors[place] * (self.samples - 1) + abs(one.value - accuracy)
            self.errors[place] = total / self.samples
        self.covered += found.by_confidence.low <= accuracy <= found.by_confidence.high

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {**vars(self), "tests": dict(self.tests)}


def pool_of(path: Path, reference: Reference, data: str, *, progress: bool = False) -> Pool:
    """Answers to all test images of `data`, plain, mirrored and inverted.

    Raises:
        DataError: the data have no test part, or the reference is of it.
    """
    test = atelier.load_dataset(data).test
    if test is None or " test images of " in reference.images:
        raise DataError(
            "the traffic must be of other images than the reference",
            fix="Name a run that held images out for validation, and data with a test part",
        )
    _, _, answer = model_at(path, "cpu").load()
    parts: dict[str, list[tuple[npt.NDArray[Any], ...]]] = {
        change: [] for change in ("none", "mirror", "invert")
    }
    with progress_bar("answers", len(test), show=progress) as bar:
        for start in range(0, len(test), _BATCH):
            plain = np.array(test.images[start : start + _BATCH])
            for change, images in (
                ("none", plain),
                ("mirror", np.ascontiguousarray(plain[..., ::-1])),
                ("invert", 255 - plain),
            ):
                probs, embedding = answer(images)
                # In half precision, as the log keeps it.
                parts[change].append((probs, embedding.astype(np.float16), *image_facts(images)))
            bar.update(start + len(plain))
    whole = {
        change: tuple(np.concatenate(column) for column in zip(*batches, strict=True))
        for change, batches in parts.items()
    }
    return Pool(test.labels, whole)


def measure(
    reference: Reference,
    pool: Pool,
    *,
    samples: int,
    predictions: Sequence[int],
    share: float,
    progress: bool = False,
) -> list[Row]:
    """All changes at all numbers of predictions."""
    rows = [Row(change, n) for n in predictions for change in CHANGES]
    with progress_bar("drift", samples * len(rows), show=progress) as bar:
        for at, row in enumerate(rows):
            for number in range(samples):
                traffic, accuracy = pool.sample(row.change, row.predictions, share, number)
                row.add(compared(reference, traffic), accuracy)
                bar.update(at * samples + number + 1, f"{row.change}, {row.predictions:,}")
    return rows


def table(rows: Sequence[Row]) -> str:
    """What was found, for a reader."""
    header = ["change", "predictions", "found in", "most often by", "accuracy off by", "covered"]
    return text_table(
        header,
        [
            [
                row.change,
                f"{row.predictions:,}",
                f"{row.found} of {row.samples}",
                ", ".join(f"{name} {n}" for name, n in row.tests.most_common(3)) or "-",
                percent(row.errors[0]),
                f"{row.covered} of {row.samples}",
            ]
            for row in rows
        ],
    )


def main(words: list[str] | None = None) -> int:
    """Measure, print the table, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path, help="a run folder or an export")
    parser.add_argument("--data", default="fashion-mnist", help="whose test images are the traffic")
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--predictions", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--share", type=float, default=0.1, help="mirrored, or inverted")
    parser.add_argument("--json", type=Path, help="write the results to this file, too")
    options = parser.parse_args(words)
    if min(options.predictions) < FEWEST_PREDICTIONS or options.samples < 1:
        parser.error(f"a sample has {FEWEST_PREDICTIONS} predictions or more, and there is one")
    show = sys.stderr.isatty()
    try:
        reference = reference_of(options.model, progress=show)
        pool = pool_of(options.model, reference, options.data, progress=show)
        rows = measure(
            reference,
            pool,
            samples=options.samples,
            predictions=options.predictions,
            share=options.share,
            progress=show,
        )
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"reference: {reference.images}, answered by {reference.name}")
    print(f"share of mirrored or inverted images: {percent(options.share, 0)}\n")
    print(table(rows))
    if options.json is not None:
        write_json(
            options.json,
            {
                "model": reference.name,
                "reference": reference.images,
                "share": options.share,
                "machine": describe_machine(resolve_device("cpu")),
                "rows": [row.to_dict() for row in rows],
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
