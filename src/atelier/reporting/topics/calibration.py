"""Whether probabilities mean what they say, and what is left when a run may stay silent."""

from __future__ import annotations

from collections.abc import Mapping

from ...evaluation import Evaluation
from ...evaluation.tables import ABSENT, percent
from ..sections import Block, Section, Table
from ..subjects import Subject


def calibration_section(subject: Subject) -> Section:
    """Calibration and coverage of all runs side by side."""
    blocks: list[Block] = [Table("Calibration", *_calibration(subject.evaluations))]
    errors = sorted({error for result in subject.evaluations.values() for error in result.coverage})
    if errors:
        rows = [
            [name, *(percent(result.coverage.get(error), 1) for error in errors)]
            for name, result in subject.evaluations.items()
        ]
        header = ["run", *(f"{percent(error, 0)} wrong" for error in errors)]
        blocks.append(
            Table("Share of the images, surest first, that can be answered", header, rows)
        )
    return Section("calibration", "Calibration", blocks)


def _calibration(evaluations: Mapping[str, Evaluation]) -> tuple[list[str], list[list[str]]]:
    header = ["run", "ECE", "ECE, calibrated", "NLL in nats", "NLL, calibrated", "temperature"]
    rows = []
    for name, result in evaluations.items():
        scores = result.calibrated
        after = (
            [ABSENT, f"{result.nll:.4f}", ABSENT, ABSENT]
            if scores is None
            else [
                percent(scores.ece),
                f"{result.nll:.4f}",
                f"{scores.nll:.4f}",
                f"{scores.temperature:.3f}",
            ]
        )
        rows.append([name, percent(result.ece), *after])
    return header, rows
