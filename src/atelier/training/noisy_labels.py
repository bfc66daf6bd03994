"""Learning from labels of which some are wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Recipe
from ..config.noisy_labels import (
    BootstrappingConfig,
    CoTeachingConfig,
    GeneralizedCrossEntropyConfig,
)
from ..data.batches import Batch
from ..errors import ConfigError
from .learner import Learner, class_weights_of
from .objectives import Logs, Objective, accuracy_of, mean_loss
from .preparation import Prepared

Losses = Callable[[Tensor, Tensor], Tensor]
"""From (N, K) logits and (N,) labels to (N,) losses."""


def generalized_cross_entropy(logits: Tensor, labels: Tensor, *, q: float) -> Tensor:
    """(N,) ``(1 - p**q) / q`` of the labels' probabilities p (Zhang & Sabuncu 2018,
    arXiv:1805.07836, equation 6).

    Args:
        logits: (N, K).
        labels: (N,) int64.
        q: above 0, at most 1.
    """
    own = logits.log_softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
    return -torch.expm1(q * own) / q


def bootstrapped_cross_entropy(
    logits: Tensor, labels: Tensor, *, share: float, hard: bool
) -> Tensor:
    """(N,) cross-entropy with targets of which the network has a part in (Reed et al. 2014,
    arXiv:1412.6596, equations 6 and 7). Through the soft ones a gradient flows, as in the paper.

    Args:
        logits: (N, K).
        labels: (N,) int64.
        share: of the label in the target.
        hard: whether the other part is the likeliest class, or the probabilities.
    """
    own = logits.log_softmax(dim=1)
    said = own.max(dim=1).values if hard else (own.exp() * own).sum(dim=1)
    return -share * own.gather(1, labels[:, None]).squeeze(1) - (1 - share) * said


def learn_generalized(prepared: Prepared, recipe: Recipe) -> Learner:
    """Generalized cross-entropy in the place of cross-entropy.

    Raises:
        ConfigError: label smoothing, which it has no place for.
    """
    options = recipe.method
    assert isinstance(options, GeneralizedCrossEntropyConfig)
    return _learn(partial(generalized_cross_entropy, q=options.q), prepared, recipe)


def learn_bootstrapped(prepared: Prepared, recipe: Recipe) -> Learner:
    """Cross-entropy with targets of which the network has a part in.

    Raises:
        ConfigError: label smoothing, which it has no place for.
    """
    options = recipe.method
    assert isinstance(options, BootstrappingConfig)
    losses = partial(bootstrapped_cross_entropy, share=options.share, hard=options.target == "hard")
    return _learn(losses, prepared, recipe)


def _learn(losses: Losses, prepared: Prepared, recipe: Recipe) -> Learner:
    _refuse_smoothing(recipe)
    objective = robust(losses, class_weights=class_weights_of(prepared, recipe))
    return Learner(prepared.model, prepared.batches, objective, prepared.validate, steady=True)


def robust(losses: Losses, *, class_weights: Tensor | None = None) -> Objective:
    """Another loss in the place of cross-entropy; of several members, for each by itself.

    Args:
        losses: of (N, K) float32 logits.
        class_weights: (K,) weight of each class in the mean.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits = _logits_of_each(model, batch.images)
        members = logits.shape[1]

        def of_labels(labels: Tensor) -> Tensor:
            every = losses(logits.flatten(0, 1), labels.repeat_interleave(members))
            mean = every.view(-1, members).mean(dim=1)
            return mean if class_weights is None else mean * class_weights[labels]

        loss = mean_loss(of_labels, batch, class_weights)
        logs = {"loss": loss.detach(), "accuracy": accuracy_of(logits.mean(dim=1), batch)}
        return loss * members, logs

    return objective


class CoTeaching(nn.Module):
    """Two members of a network, each of which learns from those images of a batch that have the
    smallest losses in the other (Han et al. 2018, arXiv:1804.06872, algorithm 1).

    Args:
        forget_rate: share of a batch that is left out in the end.
        gradual_steps: over which that share rises linearly from 0.
    """

    steps: Tensor

    def __init__(self, *, forget_rate: float, gradual_steps: float) -> None:
        super().__init__()
        self.forget_rate = forget_rate
        self.gradual_steps = gradual_steps
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        """The sum of the members' mean losses over the images that the other one has chosen."""
        logits = _logits_of_each(model, batch.images)
        losses = torch.stack(
            [F.cross_entropy(own, batch.labels, reduction="none") for own in logits.unbind(dim=1)]
        )
        left_out = self.forget_rate * min(1.0, int(self.steps) / self.gradual_steps)
        # At least one, for a mean over none is no number.
        kept = max(1, round((1 - left_out) * len(batch.labels)))
        chosen = losses.detach().topk(kept, dim=1, largest=False, sorted=False).indices
        loss = losses.gather(1, chosen.flip(0)).mean(dim=1).sum()
        logs = {
            "loss": loss.detach() / 2,
            "accuracy": accuracy_of(logits.mean(dim=1), batch),
            "left_out": torch.tensor(left_out),
        }
        return loss, logs

    def after_step(self, model: nn.Module) -> None:  # noqa: ARG002 - the loop tells every objective
        """Count the step."""
        self.steps += 1


def co_teach(prepared: Prepared, recipe: Recipe) -> Learner:
    """Two networks that choose for each other what to learn from.

    Raises:
        ConfigError: the network has not two members, nothing says how many labels are wrong, or a
            setting that weighs, mixes or smooths what is chosen.
    """
    options = recipe.method
    assert isinstance(options, CoTeachingConfig)
    members = prepared.model.members
    if members != 2:
        raise ConfigError(
            "co-teaching needs a network of two members",
            got=members,
            allowed="2",
            fix="Set model.members=2, which speednet has",
        )
    rate = recipe.train.label_noise if options.forget_rate is None else options.forget_rate
    if not rate:
        raise ConfigError(
            "co-teaching must know what share of the labels is wrong",
            fix="Set method.forget_rate, or train.label_noise to make some wrong",
        )
    _refuse_smoothing(recipe)
    weighed = {
        "train.class_weights": recipe.train.class_weights != "none",
        "train.prune": recipe.train.prune > 0,
        "mixed images": prepared.batches.mixing is not None,
        "weights of images": prepared.batches.weights is not None,
    }
    for name, used in weighed.items():
        if used:
            raise ConfigError(f"co-teaching chooses whole images, without {name}")
    objective = CoTeaching(
        forget_rate=rate, gradual_steps=options.gradual_epochs * len(prepared.batches)
    )
    return Learner(prepared.model, prepared.batches, objective, prepared.validate)


def _logits_of_each(model: nn.Module, images: Tensor) -> Tensor:
    """(N, M, K) float32 logits of M members; of a network without members M is 1."""
    if getattr(model, "members", 1) == 1:
        return model(images).float().unsqueeze(1)  # type: ignore[no-any-return]
    return model(images, each=True).float()  # type: ignore[no-any-return]


def _refuse_smoothing(recipe: Recipe) -> None:
    if recipe.train.label_smoothing:
        raise ConfigError(
            f"{recipe.method.name} has a loss of its own, without label smoothing",
            got=recipe.train.label_smoothing,
            fix="Set train.label_smoothing=0",
        )
