"""Learning that an image and two AugMix views of it are the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import Recipe
from ..config.methods import JensenShannonConfig
from ..data.batches import Batch
from ..errors import ConfigError
from .learner import Learner, class_weights_of, learn_from_labels
from .objectives import Logs, with_labels
from .preparation import Prepared
from .views import augmenter_of


def jensen_shannon(logits: Tensor) -> Tensor:
    """The mean over images of the Jensen-Shannon divergence of their views' probabilities, in nats
    (Hendrycks et al. 2020, arXiv:1912.02781, equation 2).

    Args:
        logits: (V, N, K) float32 of V views.
    """
    log_probs = logits.log_softmax(dim=2)
    # Clamped as in the authors' code, for the logarithm of a mean that has come to zero.
    log_mean = log_probs.exp().mean(dim=0).clamp(min=1e-7).log()
    return (log_probs.exp() * (log_probs - log_mean)).sum(dim=2).mean()


def learn_alike(prepared: Prepared, recipe: Recipe) -> Learner:
    """Cross-entropy of each image, and `weight` times the divergence of what is said of it and of
    two AugMix views (the same paper, section 3). All three go through the network as one batch;
    each has its own draws of the recipe's other augmentation.

    Raises:
        ConfigError: images are mixed with others, or the network has several members.
    """
    options = recipe.method
    assert isinstance(options, JensenShannonConfig)
    if recipe.augment.mixes:
        raise ConfigError(
            "jensen-shannon compares views of one image, and mixed images are of two",
            fix="Set augment.mixup=0, augment.cutmix=0 and augment.fmix=0",
        )
    if prepared.model.members > 1:
        raise ConfigError(
            "jensen-shannon trains one network",
            got=f"{prepared.model.members} members",
            fix="Set model.members=1",
        )
    weights = class_weights_of(prepared, recipe)
    plain = learn_from_labels(prepared, recipe)
    images = prepared.batches
    own, view = (
        recipe.augment.model_copy(update={"policy": policy}) for policy in ("none", "augmix")
    )
    images.augment, *images_views = (
        augmenter_of(config, prepared, recipe, len(images.labels)) for config in (own, view, view)
    )
    images.views = tuple(images_views)

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(torch.cat([batch.images, *batch.views])).float()
        by_view = logits.view(1 + len(batch.views), len(batch.images), -1)
        loss, logs = with_labels(
            by_view[0],
            batch,
            label_smoothing=recipe.train.label_smoothing,
            class_weights=weights,
        )
        divergence = jensen_shannon(by_view)
        total = loss + options.weight * divergence
        logs = {**logs, "loss": total.detach(), "label_loss": loss.detach()}
        return total, {**logs, "divergence": divergence.detach()}

    return Learner(plain.model, images, objective, plain.validate, steady=True)
