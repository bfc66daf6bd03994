"""Why the best run errs: its surest errors explained."""

from __future__ import annotations

from ...explaining import explained_examples, load_checks
from ...explaining.pictures import explanation_sheets
from ..findings import Finding, Look, command
from ..sections import Block, Code, Points, Section, Shown, Words

_ERRORS = 4


def explanations_finding(look: Look) -> Finding:
    """A few errors by methods that cost little, and the checks of an earlier `explain --check`."""
    key, title = "explanations", "Explanations"
    run = look.runs[look.best]
    checks = load_checks(run)
    if look.quick and checks is None:
        missing = f"Nothing was computed for a quick report: {command('explain', [run])} explains."
        return Finding(Section(key, title, missing=missing))
    blocks: list[Block] = []
    if not look.quick:
        found = explained_examples(run, look.dataset, _ERRORS, device=look.device)
        if found is None:
            return Finding(Section(key, title, missing=f"{look.best} has made no error."))
        blocks.append(
            Words(
                f"The surest errors of {look.best}. {command('explain', [run])} explains more "
                "images by more methods."
            )
        )
        blocks += [Shown(picture) for picture in explanation_sheets(found)]
        if found.refused:
            blocks.append(
                Points([f"No {name}: {why}." for name, why in found.refused.items()], soft=True)
            )
    if checks is None:
        blocks.append(
            Words(
                "A map that looks right need not be right: whether these hang on the weights is "
                "checked by `atelier explain --check`."
            )
        )
    else:
        blocks.append(Code(str(checks), title="What the maps are worth"))
    return Finding(Section(key, title, blocks))
