"""What the loop trains, by what, and on what: the seam at which methods differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..config import Recipe
from ..data.labeled import LABELS, FewLabels, labeled_ids
from ..models import Classifier
from ..runs import Run
from .loop import Batches, Validate
from .objectives import Objective, balanced_class_weights, each_member, supervised
from .preparation import Prepared


@dataclass(frozen=True)
class Learner:
    """What the loop trains.

    Attributes:
        model: the whole network, or a part of it whose weights have the same names.
        batches: what it learns from.
        objective: the loss. What it has of its own, as a teacher or a discriminator, makes it a
            module.
        validate: on what was held out.
        notes: sentences that who reads the run must know.
        steady: whether the objective is the same arithmetic at every step, as `fit` asks.
    """

    model: Classifier
    batches: Batches
    objective: Objective
    validate: Validate | None
    notes: tuple[str, ...] = ()
    steady: bool = False


Method = Callable[[Prepared, Recipe], Learner]
"""Makes a learner of what is prepared, by the options in the recipe's ``method``."""


def class_weights_of(prepared: Prepared, recipe: Recipe) -> Tensor | None:
    """(K,) what each class counts in the loss; None where all count the same."""
    if recipe.train.class_weights == "none":
        return None
    return balanced_class_weights(prepared.batches.labels, len(prepared.card.classes))


def few_labels_notes(prepared: Prepared, recipe: Recipe) -> list[str]:
    """What who reads a run with few labels must know: how many, which, and of which accuracy."""
    few = prepared.few
    if few is None:
        return []
    others = "not used" if recipe.method.name == "supervised" else "used without theirs"
    first = (
        f"learns from the labels of {len(few.labeled):,} images, drawn with seed {few.seed} and "
        f"listed in {LABELS}; the other {len(few.unlabeled):,} images are {others}"
    )
    notes = [first]
    if prepared.validation is not None:
        count = f"{len(prepared.validation):,} further images"
        notes.append(
            f"the labels of {count} are used to choose the weights, which who has few labels "
            "cannot do: set train.keep=last"
            if recipe.train.keep == "best"
            else f"the labels of {count} are used to measure the validation accuracy, and the "
            "weights are not chosen by it"
        )
    if prepared.start is not None and recipe.train.init is not None:
        known = _labels_seen_before(Run(recipe.train.init), recipe, few)
        if known is not None:
            notes.append(
                f"the weights of {recipe.train.init}, from which it starts, have learned from "
                f"{known}: to see what {len(few.labeled):,} labels are good for, start from a "
                "run with the same labels and seed"
            )
    return notes


def _labels_seen_before(start: Run, recipe: Recipe, few: FewLabels) -> str | None:
    """What the weights to start from know of the same data's labels beyond the few; None if they
    know no more."""
    before = start.recipe
    if before.data != recipe.data or before.method.name == "contrastive":
        return None
    if not before.train.labels:
        return "all labels"
    count = len(np.setdiff1d(labeled_ids(start.path / LABELS), few.ids))
    return f"the labels of {count:,} other images" if count else None


def learn_from_labels(prepared: Prepared, recipe: Recipe) -> Learner:
    """Each image with its label."""
    weights = class_weights_of(prepared, recipe)
    make = supervised if prepared.model.members == 1 else each_member
    objective = make(label_smoothing=recipe.train.label_smoothing, class_weights=weights)
    return Learner(prepared.model, prepared.batches, objective, prepared.validate, steady=True)
