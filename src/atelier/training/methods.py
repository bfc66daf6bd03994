"""Every method of learning, in one literal table."""

from __future__ import annotations

from ..config import Recipe
from ..errors import ConfigError
from .contrastive import learn_by_contrast
from .distillation import distill
from .domain_adaptation import (
    adapt_batch_norm,
    adapt_by_adversary,
    adapt_by_covariance,
    adapt_by_self_training,
)
from .few_shot import learn_prototypes
from .jensen_shannon import learn_alike
from .label_propagation import learn_by_label_propagation
from .learner import Learner, Method, learn_from_labels
from .noisy_labels import co_teach, learn_bootstrapped, learn_generalized
from .preparation import Prepared
from .probe import caches_embeddings, probe
from .semi_supervised import (
    learn_by_fixmatch,
    learn_by_mean_teacher,
    learn_by_pi_model,
    learn_by_pseudo_labels,
)

METHODS: dict[str, Method] = {
    "supervised": learn_from_labels,
    "distillation": distill,
    "jensen-shannon": learn_alike,
    "pseudo-label": learn_by_pseudo_labels,
    "pi-model": learn_by_pi_model,
    "mean-teacher": learn_by_mean_teacher,
    "fixmatch": learn_by_fixmatch,
    "flexmatch": learn_by_fixmatch,
    "label-propagation": learn_by_label_propagation,
    "contrastive": learn_by_contrast,
    "prototypical": learn_prototypes,
    "generalized-cross-entropy": learn_generalized,
    "bootstrapping": learn_bootstrapped,
    "co-teaching": co_teach,
    "batch-norm-adaptation": adapt_batch_norm,
    "dann": adapt_by_adversary,
    "deep-coral": adapt_by_covariance,
    "self-training": adapt_by_self_training,
}


def learner_of(prepared: Prepared, recipe: Recipe) -> Learner:
    """What the loop is to train: the head on embeddings where `caches_embeddings`, else what the
    recipe's method makes of the whole network.

    Args:
        prepared: its network is set to evaluation mode where it is frozen.
        recipe: of the run.

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
    return probe(learn_from_labels(prepared, recipe), prepared, recipe)
