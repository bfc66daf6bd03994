"""Learning from few labeled images and many without a label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..config import AugmentConfig, Recipe
from ..config.semi_supervised import (
    FixMatchConfig,
    FlexMatchConfig,
    MeanTeacherConfig,
    PiModelConfig,
    PseudoLabelConfig,
    SemiSupervisedConfig,
)
from ..data.batches import Batch
from ..data.labeled import FewLabels
from ..data.pairing import PairedBatches
from ..errors import ConfigError
from .consistency import MeanTeacher, pi_model
from .learner import Learner, class_weights_of, learn_from_labels
from .objectives import Logs, with_labels
from .preparation import Prepared
from .pseudo_labels import FlexMatch, PseudoLabels, ThresholdedLabels
from .views import augmenter_of

UnlabeledLoss = Callable[[list[Tensor], tuple[Tensor, ...], Tensor], tuple[Tensor, Logs]]
"""Makes a scalar loss, and scalars to log, of (M, K) float32 logits of each view that the network
has seen, of all views, each (M, C, H, W), and of (M,) places among the unlabeled images."""


class SemiSupervised(nn.Module):
    """Cross-entropy of the labeled images, plus a weight times the loss of the unlabeled ones.

    Both go through the network in one batch, so that batch norm sees one distribution.

    Args:
        unlabeled: their loss; what it remembers makes it a module.
        seen: how many views of an unlabeled image go through the network.
        weight: of that loss.
        rampup_steps: over which the weight rises.
        supervised: keyword arguments of `with_labels`.
    """

    steps: Tensor

    def __init__(
        self,
        unlabeled: UnlabeledLoss,
        *,
        seen: int,
        weight: float,
        rampup_steps: float,
        supervised: dict[str, Any],
    ) -> None:
        super().__init__()
        self.unlabeled = unlabeled
        self.seen = seen
        self.weight = weight
        self.rampup_steps = rampup_steps
        self.supervised = supervised
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        """The loss, and its parts to log."""
        others = batch.unlabeled
        assert others is not None
        images = torch.cat([batch.images, *others.views[: self.seen]])
        count = len(others.positions)
        logits = model(images).float().split([len(batch.images), *[count] * self.seen])
        hard, logs = with_labels(logits[0], batch, **self.supervised)
        soft, more = self.unlabeled(list(logits[1:]), others.views, others.positions)
        loss = hard + self.current_weight() * soft
        parts = {"label_loss": hard.detach(), "unlabeled_loss": soft.detach()}
        return loss, {**logs, **more, **parts, "loss": loss.detach()}

    def current_weight(self) -> Tensor | float:
        """Of the unlabeled images: exp(-5 (1 - t)^2) of the full one at the share t of the ramp, as
        Laine and Aila (2017) have it."""
        if not self.rampup_steps:
            return self.weight
        share = (self.steps / self.rampup_steps).clamp(max=1)
        return self.weight * torch.exp(-5 * (1 - share) ** 2)

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Count the step, and tell the unlabeled images' loss of it."""
        self.steps += 1
        told: Callable[[nn.Module], None] | None = getattr(self.unlabeled, "after_step", None)
        if told is not None:
            told(model)


def learn_by_pseudo_labels(prepared: Prepared, recipe: Recipe) -> Learner:
    """Pseudo-Label (Lee 2013).

    Raises:
        ConfigError: no image is without a label, or the network has several members.
    """
    options = recipe.method
    assert isinstance(options, PseudoLabelConfig)
    return semi_supervised_learner(prepared, recipe, PseudoLabels(options.threshold), [], seen=1)


def learn_by_pi_model(prepared: Prepared, recipe: Recipe) -> Learner:
    """The Pi model (Laine and Aila 2017, arXiv:1610.02242). Raises as `learn_by_pseudo_labels`."""
    assert isinstance(recipe.method, PiModelConfig)
    return semi_supervised_learner(prepared, recipe, pi_model, [recipe.augment], seen=2)


def learn_by_mean_teacher(prepared: Prepared, recipe: Recipe) -> Learner:
    """Mean teacher (Tarvainen and Valpola 2017, arXiv:1703.01780). Raises as
    `learn_by_pseudo_labels`."""
    options = recipe.method
    assert isinstance(options, MeanTeacherConfig)
    teacher = MeanTeacher(prepared.model, options.decay)
    return semi_supervised_learner(prepared, recipe, teacher, [recipe.augment], seen=1)


def learn_by_fixmatch(prepared: Prepared, recipe: Recipe) -> Learner:
    """FixMatch (Sohn et al. 2020, arXiv:2001.07685), or FlexMatch (Zhang et al. 2021,
    arXiv:2110.08263). Raises as `learn_by_pseudo_labels`."""
    options = recipe.method
    assert isinstance(options, FixMatchConfig | FlexMatchConfig)
    target = None
    if options.align:
        counts = prepared.batches.labels.bincount(minlength=len(prepared.card.classes))
        target = counts / counts.sum()
    loss: ThresholdedLabels
    if isinstance(options, FlexMatchConfig):
        loss = FlexMatch(
            options.threshold,
            num_images=len(few_labels_of(prepared, options).unlabeled),
            num_classes=len(prepared.card.classes),
            target=target,
        )
    else:
        loss = ThresholdedLabels(options.threshold, target=target)
    return semi_supervised_learner(prepared, recipe, loss, [options.strong], seen=2)


def few_labels_of(prepared: Prepared, options: SemiSupervisedConfig) -> FewLabels:
    """Which images have a label.

    Raises:
        ConfigError: all have one, or the training is none that takes labeled images whole.
    """
    if prepared.few is None:
        raise ConfigError(
            f"{options.name} learns from images without a label, and all have one",
            fix="Say how many labels are looked at, as with --labels 400",
        )
    if prepared.model.members > 1:
        raise ConfigError(
            f"{options.name} trains one network",
            got=f"{prepared.model.members} members",
            fix="Set model.members=1",
        )
    odd = {
        "mixed images": prepared.batches.mixing is not None,
        "train.prune": prepared.batches.pruning is not None,
    }
    for name, used in odd.items():
        if used:
            raise ConfigError(f"{options.name} takes each labeled image whole, without {name}")
    return prepared.few


def semi_supervised_learner(
    prepared: Prepared,
    recipe: Recipe,
    loss: UnlabeledLoss,
    more_views: list[AugmentConfig],
    *,
    seen: int,
) -> Learner:
    """Labeled images beside unlabeled ones.

    Args:
        prepared: of the training.
        recipe: of the run.
        loss: of the unlabeled images.
        more_views: augmentations of theirs, beside the recipe's own.
        seen: how many of these views go through the network.
    """
    options = recipe.method
    assert isinstance(options, SemiSupervisedConfig)
    unlabeled = few_labels_of(prepared, options).unlabeled
    labeled, count = prepared.batches, len(unlabeled)
    others = labeled.without_labels(
        unlabeled,
        options.unlabeled_ratio * recipe.train.batch_size,
        augmenter_of(recipe.augment, prepared, recipe, count),
        views=[augmenter_of(config, prepared, recipe, count) for config in more_views],
    )
    batches = PairedBatches(labeled, others)
    objective = SemiSupervised(
        loss,
        seen=seen,
        weight=options.weight,
        rampup_steps=options.rampup_epochs * len(batches),
        supervised={
            "label_smoothing": recipe.train.label_smoothing,
            "class_weights": class_weights_of(prepared, recipe),
        },
    ).to(prepared.device)
    plain = learn_from_labels(prepared, recipe)
    return Learner(plain.model, batches, objective, plain.validate, steady=True)
