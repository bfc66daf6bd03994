"""Learning for a target domain from labeled images of the source and unlabeled ones of the target.

Each domain goes through the network in a pass of its own: batch norms then normalize each by its
own statistics, and what they remember for predictions is the target's alone (AdaBN, Li et al. 2016,
arXiv:1603.04779). In one common pass they would see a mixture that no prediction is ever made on.
Pixels are normalized by the source's mean and deviation in both: what is left of the target's own
is an affine map, which the batch norms take up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..config import Recipe
from ..config.domain_adaptation import (
    BatchNormAdaptationConfig,
    DannConfig,
    DeepCoralConfig,
    SelfTrainingConfig,
)
from ..data import Dataset, ImageSplit, obtain_dataset
from ..data.augment import Augmenter
from ..data.batches import Batch, TrainingBatches
from ..data.derived import source_of
from ..data.pairing import PairedBatches
from ..errors import ConfigError
from ..models import Classifier
from .alignments import (
    Alignment,
    CovarianceAlignment,
    DomainDiscriminator,
    Passes,
    TargetLabels,
)
from .averaging import reestimate_batch_norm, statistics_kept
from .learner import Learner, class_weights_of, learn_from_labels
from .objectives import Logs, with_labels
from .preparation import Prepared, background_of

_STATISTICS_IMAGES = 4096
_BATCH = 512


class Adaptation(nn.Module):
    """The objective: the loss with the source's labels, and an alignment.

    Args:
        batches: of the source with its labels, beside those of the target.
        alignment: adds to the loss.
        num_epochs: of the training.
        label_smoothing: as of `supervised`.
        class_weights: as of `supervised`.
    """

    steps: Tensor

    def __init__(
        self,
        batches: PairedBatches,
        alignment: Alignment,
        *,
        num_epochs: int,
        label_smoothing: float = 0.0,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.alignment = alignment
        self.batches = batches
        self.num_epochs = num_epochs
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights
        # On the CPU, where it is asked for: a GPU would be waited for in each step.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def progress(self) -> float:
        """Share of the training that is over."""
        return float(self.steps) / (len(self.batches) * self.num_epochs)

    def forward(self, model: Classifier, batch: Batch) -> tuple[Tensor, Logs]:
        """The loss of a batch of both domains."""
        others = batch.unlabeled
        assert others is not None
        with statistics_kept(model):
            source = model.features(batch.images)
            source_logits = model.head(source).float()
        target = model.features(others.views[0])
        passes = Passes(
            source.float(),
            target.float(),
            source_logits,
            model.head(target).float(),
            others.positions,
            self.progress,
        )
        labeled, logs = with_labels(
            source_logits,
            batch,
            label_smoothing=self.label_smoothing,
            class_weights=self.class_weights,
        )
        added, more = self.alignment(passes)
        loss = labeled + added
        return loss, {**logs, **more, "loss": loss.detach(), "label_loss": labeled.detach()}

    def after_step(self, model: Classifier) -> None:
        """Count steps; at the end of an epoch, fit the batch norms to the target."""
        self.steps += 1
        if self.steps % len(self.batches) == 0:
            fit_to_target(model, self.batches.others)
            self.alignment.after_epoch(model, self.progress)


def fit_to_target(model: Classifier, target: TrainingBatches) -> None:
    """Give the batch norms the statistics of up to 4,096 of the target's images, not augmented."""
    reestimate_batch_norm(model, torch.split(target.some(_STATISTICS_IMAGES), _BATCH))


def adapt_batch_norm(prepared: Prepared, recipe: Recipe) -> Learner:
    """The labels of the source, and batch norms with the statistics of the target.

    Raises:
        ConfigError: as of `adapt_by_self_training`, or a network without batch norms.
    """
    assert isinstance(recipe.method, BatchNormAdaptationConfig)
    if not any(isinstance(module, _BatchNorm) for module in prepared.model.modules()):
        raise ConfigError(
            "batch-norm-adaptation needs batch norms, and this network has none",
            got=recipe.model.name,
            fix="Train cnn, resnet or fast-93, or set method=self-training",
        )
    return _adapted(prepared, recipe, recipe.method.target, lambda _: Alignment())


def adapt_by_adversary(prepared: Prepared, recipe: Recipe) -> Learner:
    """The labels of the source, and embeddings that do not tell the domain.

    Raises:
        ConfigError: as of `adapt_by_self_training`.
    """
    options = recipe.method
    assert isinstance(options, DannConfig)
    inputs = prepared.model.head.in_features

    def discriminator(_batches: TrainingBatches) -> Alignment:
        return DomainDiscriminator(inputs, options.hidden, options.weight)

    return _adapted(prepared, recipe, options.target, discriminator)


def adapt_by_covariance(prepared: Prepared, recipe: Recipe) -> Learner:
    """The labels of the source, and logits of one covariance.

    Raises:
        ConfigError: as of `adapt_by_self_training`.
    """
    options = recipe.method
    assert isinstance(options, DeepCoralConfig)
    return _adapted(prepared, recipe, options.target, lambda _: CovarianceAlignment(options.weight))


def adapt_by_self_training(prepared: Prepared, recipe: Recipe) -> Learner:
    """The labels of the source, and pseudo-labels of the target: from the first epoch on where the
    training starts from a run's weights, else from the second.

    Raises:
        ConfigError: the images of the target have another shape, the network has several members,
            or an average would lose the target's statistics.
    """
    options = recipe.method
    assert isinstance(options, SelfTrainingConfig)

    def labels(batches: TrainingBatches) -> Alignment:
        found = TargetLabels(batches, options)
        if recipe.train.init is not None and prepared.start is not None:
            fit_to_target(prepared.model, batches)
            found.after_epoch(prepared.model, 0.0)
        return found

    return _adapted(prepared, recipe, options.target, labels)


def _adapted(
    prepared: Prepared,
    recipe: Recipe,
    target: str,
    alignment: Callable[[TrainingBatches], Alignment],
) -> Learner:
    if prepared.model.members > 1:
        raise ConfigError(
            "domains are adapted to by one network",
            got=f"{prepared.model.members} members",
            fix="Set model.members=1",
        )
    for field in ("swa_from", "lookahead_steps"):
        if getattr(recipe.train, field):
            raise ConfigError(
                f"train.{field} fits batch norms to the source's images, and {recipe.method.name} "
                "to the target's",
                fix=f"Set train.{field}=0",
            )
    dataset = obtain_dataset(target, recipe.photos)
    same = source_of(recipe.data) == source_of(target)
    others = _target_batches(prepared, recipe, dataset, same=same)
    plain = learn_from_labels(prepared, recipe)
    batches = PairedBatches(prepared.batches, others)
    objective = Adaptation(
        batches,
        alignment(others).to(prepared.device),
        num_epochs=recipe.train.num_epochs,
        label_smoothing=recipe.train.label_smoothing,
        class_weights=class_weights_of(prepared, recipe),
    )
    note = (
        f"adapted to {dataset.name} without its labels: validation is on images of the source, "
        "which the network sees with the target's batch-norm statistics"
    )
    return Learner(plain.model, batches, objective, plain.validate, (note,))


def _target_batches(
    prepared: Prepared, recipe: Recipe, dataset: Dataset, *, same: bool
) -> TrainingBatches:
    """Of the target's training images; where these are the `same` as the source's, but for their
    domain, of those that the source learns from."""
    shape = dataset.train.images.shape[1:]
    if shape != prepared.card.image_shape:
        raise ConfigError(
            f"the images of {dataset.name} have another shape than the source's",
            got=" x ".join(map(str, shape)),
            allowed=" x ".join(map(str, prepared.card.image_shape)),
            fix="Behind a map of classes, as PHOTOS:shared, photos are gray and 28 x 28",
        )
    count = len(dataset.train)
    own = prepared.batches
    chosen = own.chosen.cpu().numpy() if same else np.arange(count)
    # So that no mistake below could learn from them.
    unlabeled = ImageSplit(dataset.train.images, np.zeros(count, np.int64), dataset.train.ids)
    fill = own.normalize.byte(background_of(dataset.train.images[chosen[:1000]])).flatten()
    augment = Augmenter(
        recipe.augment,
        fill,
        len(chosen),
        recipe.seed,
        prepared.device,
        mean=prepared.card.mean,
        std=prepared.card.std,
        growth=own.augment.growth,
    )
    return TrainingBatches(
        unlabeled, chosen, own.batch_size, own.normalize, augment, prepared.device
    )
