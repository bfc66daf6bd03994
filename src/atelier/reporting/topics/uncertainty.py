"""How far probabilities can be trusted, as `atelier uncertainty` has kept it, or its diagram."""

from __future__ import annotations

from dataclasses import replace

from ...drawing.picture import Picture
from ...evaluation import calibration_of
from ...evaluation.tables import percent
from ...runs import Run
from ...uncertainty import Uncertainty, load_uncertainty, uncertainty_pictures
from ...uncertainty.pictures import reliability
from ...uncertainty.probabilities import score_probabilities
from ..findings import Finding, Look, command
from ..sections import Block, Points, Section, Shown, Table, Words, for_each_run


def uncertainty_finding(look: Look) -> Finding:
    """Kept results in full; of the other runs the reliability diagram of kept predictions."""
    kept = {name: load_uncertainty(run) for name, run in look.runs.items()}
    missing = [run for name, run in look.runs.items() if kept[name] is None]
    runs: dict[str, list[Block]] = {}
    for name, run in look.runs.items():
        result = kept[name]
        runs[name] = _diagram(name, run) if result is None else _blocks(result)
    words: list[Block] = []
    if missing:
        words.append(
            Words(
                "Sets of classes that hold the true one, and images of no class at all, are "
                f"judged by {command('uncertainty', missing[:1])}."
            )
        )
    section = for_each_run(
        "uncertainty", "Uncertainty", runs, best=look.best, blocks=words
    ) or Section("uncertainty", "Uncertainty")
    best = kept[look.best]
    return Finding(section, () if best is None else _sentences(look.best, best))


def _blocks(result: Uncertainty) -> list[Block]:
    blocks: list[Block] = [
        Table("Probabilities", *result.probability_table()),
        Table("Accuracy of the surest answers", *result.selective_table()),
    ]
    if result.conformal:
        title = f"Sets that are to hold the true class of {percent(result.level, 0)} of the images"
        blocks.append(Table(title, *result.conformal_table()))
    blocks.append(Table("Known images above unknown ones (AUROC)", *result.auroc_table()))
    blocks += [Shown(picture) for picture in uncertainty_pictures(result)]
    if result.notes:
        blocks.append(Points([f"{note}." for note in result.notes], soft=True))
    return blocks


def _diagram(name: str, run: Run) -> list[Block]:
    judged, calibration = run.predictions(run.judged), calibration_of(run)
    rows = list(score_probabilities(run, judged, None, None, seed=0)[0])
    # Where there is no test part, the temperature was fitted on the images that are shown.
    if calibration is not None and run.judged == "test":
        (row,), *_ = score_probabilities(run, calibration.apply(judged), None, None, seed=0)
        rows.append(replace(row, method="temperature"))
    errors = "; ".join(f"{row.method} ECE {percent(row.ece.value)}" for row in rows)
    picture = Picture(
        "reliability",
        "Do the probabilities mean what they say?",
        reliability(rows),
        f"Reliability diagram of {name} on {len(judged):,} {run.judged} images: {errors}",
        "Each dot is the images of similar confidence: on the line, they are right as often as the "
        "model is sure. Bars through dots are 95 % intervals; bars below are the images.",
    )
    return [Shown(picture)]


def _sentences(name: str, result: Uncertainty) -> tuple[str, ...]:
    if result.sets is None:
        return ()
    text = (
        f"Sets of classes that are to hold the true one in {percent(result.level, 0)} of cases "
        f"hold it in {percent(result.sets.share, 1)}, with {result.sets.mean_size:.2f} classes "
        f"each ({name})."
    )
    return (text,)
