"""How many wrong labels `atelier audit --labels` finds, and how many right ones it suspects.

Of the training images 3 % get another label, drawn uniformly: 1,800 of Fashion-MNIST's 60,000.
They are injected by a file of corrections, as a user would change them, and the audit is the
ordinary one.
The data have wrong labels of their own, which count as mistakes here: the precision is a little
better than it looks. Beside the audit's own ranking stand others, of the same networks' answers.

    python -m benchmarks.label_errors [--data fashion-mnist] [--share 0.03] [--folds 4] [--keep DIR]
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

import atelier
from atelier.auditing.labels import suspicion
from atelier.devices import describe_machine, resolve_device
from atelier.errors import AtelierError
from atelier.evaluation.tables import percent, text_table
from atelier.progress import progress_bar
from atelier.storage import write_json, write_text

RESULTS = Path(__file__).parent / "results" / "label_errors.json"
SEED = 0


def inject(data: str, share: float, path: Path) -> npt.NDArray[np.int64]:
    """Write a file of corrections that makes a share of the training labels wrong.

    Args:
        data: the name of a data set of arrays.
        share: of the training images.
        path: of the file.

    Returns:
        (M,) positions of these images, sorted.
    """
    dataset = atelier.load_dataset(data)
    train, classes = dataset.train, dataset.classes
    rng = np.random.default_rng(SEED)
    chosen = np.sort(rng.choice(len(train), round(share * len(train)), replace=False))
    steps = rng.integers(1, len(classes), len(chosen))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["data", "image", "given", "suggested", "action"])
    for at, step in zip(chosen.tolist(), steps.tolist(), strict=True):
        label = int(train.labels[at])
        other = classes[(label + step) % len(classes)]
        writer.writerow([data, f"train/{train.ids[at]}", classes[label], "", other])
    write_text(path, table.getvalue())
    return chosen


def scores(
    probs: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[np.float64]]:
    """Rankings by answers to images that were not learned from: more is more suspicious.

    Args:
        probs: (N, K).
        labels: (N,) given classes.
    """
    rows = np.arange(len(labels))
    own = probs[rows, labels]
    others = probs.copy()
    others[rows, labels] = 0
    entropy = -(probs * np.log(np.maximum(probs, 1e-12))).sum(axis=1) / np.log(probs.shape[1])
    return {
        "self-confidence, or loss": suspicion(probs, labels),
        "odds of the best other class": others.max(axis=1) / np.maximum(own, 1e-12),
        "normalized margin": others.max(axis=1) - own,
        "confidence-weighted entropy": entropy / np.maximum(own, 1e-12),
    }


def measured(
    score: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], ranks: Sequence[int]
) -> dict[str, float]:
    """Precision among the first k for each k of `ranks`, and the average precision."""
    order = np.argsort(-score, kind="stable")
    found = {f"precision_at_{k}": float(wrong[order[:k]].mean()) for k in ranks}
    return {**found, "average_precision": float(average_precision_score(wrong, score))}


def answers_of(folder: Path, count: int) -> npt.NDArray[np.float64]:
    """(N, K) mean probabilities for the training images, as an audit has kept them."""
    found: Any = None
    for path in folder.glob("*.npz"):
        with np.load(path, allow_pickle=False) as stored:
            at, probs = stored["asked"], stored["probs"]
        if found is None:
            found = np.zeros((count, probs.shape[1]))
        own = at < count
        found[at[own]] = probs[own]
    result: npt.NDArray[np.float64] = found
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the results; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", default="fashion-mnist", help="a data set of arrays")
    parser.add_argument("--share", type=float, default=0.03, help="of the labels made wrong")
    parser.add_argument("--recipe", help="of the networks; default: the audit's")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--keep", type=Path, help="a folder for the audit, which then can go on")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            result = measure(options, options.keep or Path(temporary))
    except AtelierError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_json(options.results, result)
    print(table(result))
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Inject, audit, and compare what was found with what was injected."""
    with progress_bar("inject", 1) as bar:
        chosen = inject(options.data, options.share, folder / "wrong.csv")
        bar.update(1)
    wall, processor = time.perf_counter(), time.process_time()
    audit = atelier.audit(
        folder / "wrong.csv",
        labels=True,
        recipe=options.recipe,
        folds=options.folds,
        out=folder / "audit",
    )
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    found = audit.labels
    assert found is not None
    labels = atelier.load_dataset(folder / "wrong.csv").train.labels
    count = len(labels)
    wrong = np.zeros(count, bool)
    wrong[chosen] = True
    ranks = sorted({min(k, len(chosen)) for k in (100, 600, len(chosen))})
    flagged = np.zeros(count, bool)
    flagged[[s.position for s in found.suspects if s.part == "train"]] = True
    # The audit's ranking has the test images in it, of which nothing is known here.
    own = found.ranking[found.ranking < count]
    score = np.empty(count)
    score[own] = -np.arange(count)
    probs = answers_of(folder / "audit" / "folds", count)
    return {
        "data": options.data,
        "share": options.share,
        "seed": SEED,
        "injected": len(chosen),
        "recipe": found.recipe,
        "folds": found.folds,
        "audit": measured(score, wrong, ranks),
        "flagged": {
            "images": int(flagged.sum()),
            "precision": float(wrong[flagged].mean()),
            "recall": float(flagged[wrong].mean()),
        },
        "agreement": dict(found.agreement),
        "rankings": {
            name: measured(values, wrong, ranks) for name, values in scores(probs, labels).items()
        },
        "seconds": wall,
        "processor_seconds": processor,
        "machine": describe_machine(resolve_device()),
    }


def table(result: dict[str, Any]) -> str:
    """The results for a terminal."""
    names = list(result["audit"])
    rows = [
        [name, *(percent(values[key], 1) for key in names)]
        for name, values in (("the audit", result["audit"]), *result["rankings"].items())
    ]
    flagged = result["flagged"]
    precision, recall = percent(flagged["precision"], 1), percent(flagged["recall"], 1)
    found = f"flagged: {flagged['images']:,} training images, {precision} of them injected"
    return "\n".join(
        (
            text_table(["ranking", *(name.replace("_", " ") for name in names)], rows),
            f"{found}; {recall} of the {result['injected']:,} injected are flagged",
            f"{result['seconds']:,.0f} s, {result['processor_seconds']:,.0f} s of processors",
        )
    )


if __name__ == "__main__":
    sys.exit(main())
