"""What the runs stand up to, as `atelier robustness` has kept it, or a look at a sample."""

from __future__ import annotations

from dataclasses import replace

from ...evaluation.tables import percent
from ...robustness import Robustness, RunRobustness, load_robustness, robustness
from ...robustness.pictures import robustness_pictures
from ...robustness.words import sentences, tables
from ..findings import Finding, Look, command
from ..sections import Block, Points, Section, Shown, Table, Words

_IMAGES, _ATTACKED, _RADII = 100, 50, (1, 4, 8)
_FOLDED = "robustness-groups", "robustness-mirror"


def robustness_finding(look: Look) -> Finding:
    """Kept results, with the number of their images; of the other runs those of a small sample."""
    found, sampled, absent = [], [], []
    for name, run in look.runs.items():
        kept = load_robustness(run)
        if kept is None and look.quick:
            absent.append(run)
            continue
        if kept is None:
            sampled.append(run)
            (kept,) = robustness(
                run,
                images=_IMAGES,
                attacks=("fgsm",),
                radii=_RADII,
                attack_images=_ATTACKED,
                keep=False,
                device=look.device,
                progress=False,
            ).runs
        found.append(_named(kept, name))
    title = "Robustness"
    if not found:
        missing = f"Nothing is kept for these runs: {command('robustness', absent)} looks."
        return Finding(Section("robustness", title, missing=missing))
    blocks: list[Block] = []
    if sampled:
        blocks.append(
            Words(
                f"A quick look at {min(_IMAGES, found[0].total):,} images, with no attack but one "
                f"step along the gradient: {command('robustness', sampled)} takes more of both."
            )
        )
    if absent:
        blocks.append(Words(f"Of the other runs nothing is kept: {command('robustness', absent)}."))
    blocks += [
        Table(caption[:1].upper() + caption[1:], header, rows, folded=number > 0)
        for number, (caption, header, rows) in enumerate(tables(found))
    ]
    blocks += [
        Shown(picture, folded=picture.key.startswith(_FOLDED))
        for picture in robustness_pictures(Robustness(tuple(found)))
    ]
    blocks.append(Points(sentences(found), title="What is to be known", soft=True))
    best = next((one for one in found if one.name == look.best), found[0])
    return Finding(Section("robustness", title, blocks), _said(best))


def _named(result: RunRobustness, name: str) -> RunRobustness:
    return replace(result, name=name)


def _said(result: RunRobustness) -> tuple[str, ...]:
    worst = result.worst_corruption
    if worst is None or result.corrupted is None:
        return ()
    text = (
        f"On corrupted images {result.name} is right on {percent(result.corrupted.value, 1)} "
        f"({percent(result.accuracy, 1)} of the same {result.n:,} as they are); {worst.name} hurts "
        f"most ({percent(worst.mean, 1)})."
    )
    return (text,)
