"""Every method of learning, in one literal table."""

from __future__ import annotations

from ..config import Recipe
from ..errors import ConfigError
from .distillation import distill
from .learner import Learner, Method, learn_from_labels
from .preparation import Prepared
from .probe import caches_embeddings, probe

METHODS: dict[str, Method] = {
    "supervised": learn_from_labels,
    "distillation": distill,
}


def learner_of(prepared: Prepared, recipe: Recipe, *, progress: bool = False) -> Learner:
    """What the loop is to train: the head on embeddings where `caches_embeddings`, else what the
    recipe's method makes of the whole network.

    Args:
        prepared: its network is set to evaluation mode where it is frozen.
        recipe: of the run.
        progress: show a bar on standard error.

    Raises:
        ConfigError: the method cannot be followed so.
        RunError: a run that it needs cannot be used.
    """
    name = recipe.method.name
    if not caches_embeddings(recipe):
        return METHODS[name](prepared, recipe)
    if name != "supervised":
        raise ConfigError(
            f"{name} needs images, and a frozen backbone that nothing changes is trained on "
            "embeddings",
            fix="Set train.freeze=none or method=supervised",
        )
    return probe(learn_from_labels(prepared, recipe), prepared, recipe, progress=progress)
