"""Learning for a target domain from labeled images of the source and unlabeled ones of the target.

Each domain goes through the network in a pass of its own: batch norms then normalize each by its
own statistics, and what they remember for predictions is the target's alone (AdaBN, Li et al. 2016,
arXiv:1603.04779). In one common pass they would see a mixture that no prediction is ever made on.
Pixels are normalized by the source's mean and deviation in both: what is left of the target's own
is an affine map, which the batch norms take up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
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
from .averaging import reestimate_batch_norm
from .learner import Learner, class_weights_of, learn_from_labels
from .objectives import Logs, with_labels
from .preparation import Prepared, background_of

_STATISTICS_IMAGES = 4096
_BATCH = 512


@dataclass(frozen=True)
class Passes:
    """What the network made of a batch of each domain.

    Attributes:
        source: (N, D) float32 embeddings.
        target: (M, D) float32 embeddings.
        source_logits: (N, K) float32.
        target_logits: (M, K) float32.
        positions: (M,) places of the target's images among its training images.
        progress: share of the training that is over, in 0..1.
    """

    source: Tensor
    target: Tensor
    source_logits: Tensor
    target_logits: Tensor
    positions: Tensor
    progress: float


class Alignment(nn.Module):
    """What is asked of both domains beside the source's labels: here nothing."""

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """A loss to add, and what to log."""
        return passes.target_logits.new_zeros(()), {}

    def after_epoch(self, model: Classifier, progress: float) -> None:
        """Told of each epoch's end, when the batch norms have the target's statistics."""


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
        with _statistics_kept(model):
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
    reestimate_batch_norm(model, target.some(_STATISTICS_IMAGES).split(_BATCH))


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """A pass in which batch norms use the batch's statistics and do not remember them."""
    norms = [
        module
        for module in model.modules()
        # One that is frozen is in evaluation mode and goes on with what it remembers.
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


class DomainDiscriminator(Alignment):
    """Tells the domains apart by the embeddings, which learn to prevent it: its gradient comes back
    to them reversed, times a factor that grows from 0 (Ganin et al. 2016, arXiv:1505.07818,
    equations 10 and 14, gamma = 10).

    Args:
        inputs: D.
        hidden: units of its hidden layer.
        weight: what the factor grows to.
    """

    def __init__(self, inputs: int, hidden: int, weight: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            # Embeddings come in any scale, and the discriminator has one learning rate.
            nn.LayerNorm(inputs, elementwise_affine=False),
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 1),
        )
        self.weight = weight

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """Binary cross-entropy, each domain with half of the weight."""
        factor = self.weight * (2 / (1 + np.exp(-10 * passes.progress)) - 1)
        both = torch.cat([passes.source, passes.target])
        said = self.layers(reverse_gradient(both, factor)).float()[:, 0]
        source, target = said.split([len(passes.source), len(passes.target)])
        loss = (F.softplus(-source).mean() + F.softplus(target).mean()) / 2
        right = ((source > 0).float().mean() + (target <= 0).float().mean()) / 2
        return loss, {"domain_loss": loss.detach(), "domain_accuracy": right.detach()}


def reverse_gradient(values: Tensor, factor: float) -> Tensor:
    """The same values, whose gradient is multiplied by ``-factor`` on its way back."""
    return (1 + factor) * values.detach() - factor * values


class CovarianceAlignment(Alignment):
    """`coral_distance` between the logits of both domains.

    Args:
        weight: of the distance.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """The weighted distance."""
        distance = coral_distance(passes.source_logits, passes.target_logits)
        return self.weight * distance, {"coral": distance.detach()}


def coral_distance(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius norm of the difference of covariances, over 4 D^2 (Sun and Saenko 2016,
    arXiv:1607.01719, equations 1 to 3).

    Args:
        source: (N, D).
        target: (M, D).
    """
    difference = torch.cov(source.T) - torch.cov(target.T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


class TargetLabels(Alignment):
    """Cross-entropy of the target's images with pseudo-labels, which are chosen anew after each
    epoch by `balanced_labels` (Zou et al. 2018, arXiv:1810.07911).

    Args:
        batches: of the target.
        options: weight and shares.
    """

    labels: Tensor

    def __init__(self, batches: TrainingBatches, options: SelfTrainingConfig) -> None:
        super().__init__()
        self.batches = batches
        self.options = options
        none = torch.full((len(batches.chosen),), -1, device=batches.chosen.device)
        self.register_buffer("labels", none)

    def forward(self, passes: Passes) -> tuple[Tensor, Logs]:
        """The mean over all images, those without a pseudo-label counting 0."""
        labels = self.labels[passes.positions]
        taken = (labels >= 0).float().mean()
        loss = F.cross_entropy(passes.target_logits, labels, ignore_index=-1, reduction="none")
        weighted = self.options.weight * loss.mean()
        return weighted, {"target_loss": weighted.detach(), "taken": taken}

    @torch.no_grad()
    def after_epoch(self, model: Classifier, progress: float) -> None:
        """Choose the pseudo-labels of the next epoch."""
        was_training = model.training
        model.eval()
        parts = self.batches.chosen.split(_BATCH)
        normalize, images = self.batches.normalize, self.batches.images
        probs = [model(normalize(images[part])).float().softmax(dim=1) for part in parts]
        model.train(was_training)
        first, last = self.options.first_share, self.options.last_share
        self.labels.copy_(balanced_labels(torch.cat(probs), first + progress * (last - first)))


def balanced_labels(probs: Tensor, share: float) -> Tensor:
    """Pseudo-labels for the most confident images of each class.

    A class's threshold is the probability that a `share` of the images which are taken for it
    reach. Then each image gets the class whose probability is largest as a multiple of its
    threshold, and no label if it is below 1 (arXiv:1810.07911, equation 10 and algorithm 2).

    Args:
        probs: (M, K).
        share: in 0..1.

    Returns:
        (M,) int64, -1 where an image gets none.
    """
    confidence, likeliest = probs.max(dim=1)
    thresholds = torch.full_like(probs[0], float("inf"))
    for label in likeliest.unique().tolist():
        own = confidence[likeliest == label].sort(descending=True).values
        thresholds[label] = own[max(0, round(share * len(own)) - 1)]
    multiple, labels = (probs / thresholds).max(dim=1)
    return torch.where(multiple >= 1, labels, -1)


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
