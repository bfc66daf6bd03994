"""Learning an embedding in which a few images stand for their class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Recipe
from ..config.few_shot import PrototypicalConfig
from ..data.batches import Batch
from ..data.episodes import EpisodeBatches
from ..errors import ConfigError
from .learner import Learner
from .objectives import Logs, Objective
from .preparation import Prepared


def prototypical_logits(support: Tensor, queries: Tensor) -> Tensor:
    """Minus the squared distance of each query to each class's prototype, the mean of its support
    (Snell et al. 2017, arXiv:1703.05175, equations 1 and 2).

    Args:
        support: (W, S, D) embeddings of S images of each of W classes.
        queries: (Q, D) embeddings.

    Returns:
        (Q, W).
    """
    prototypes = support.mean(dim=1)
    return -(queries[:, None] - prototypes).square().sum(dim=2)


def prototypical(*, ways: int, shots: int) -> Objective:
    """Cross-entropy of the queries of an episode over its classes.

    Beside it the network's head learns the classes of the training from embeddings that it cannot
    change, so that the run predicts as others do.

    Args:
        ways: classes of an episode.
        shots: images of each class before its queries.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        embeddings: Tensor = model.get_submodule("features")(batch.images).float()
        episode = embeddings.view(ways, -1, embeddings.shape[1])
        queries = episode[:, shots:].flatten(0, 1)
        logits = prototypical_logits(episode[:, :shots], queries)
        asked = torch.arange(ways, device=logits.device).repeat_interleave(len(queries) // ways)
        loss = F.cross_entropy(logits, asked)
        known: Tensor = model.get_submodule("head")(embeddings.detach()).float()
        head_loss = F.cross_entropy(known, batch.labels)
        logs = {
            "loss": loss.detach(),
            "accuracy": (logits.argmax(dim=1) == asked).float().mean(),
            "head_loss": head_loss.detach(),
        }
        return loss + head_loss, logs

    return objective


def learn_prototypes(prepared: Prepared, recipe: Recipe) -> Learner:
    """Episodes, each of which assigns images to the nearest prototype.

    Raises:
        ConfigError: too few classes or images, or a setting that draws, mixes or weighs images.
    """
    options = recipe.method
    assert isinstance(options, PrototypicalConfig)
    train = recipe.train
    odd = {
        "train.prune": train.prune > 0,
        "train.sampling=balanced": train.sampling == "balanced",
        "train.class_weights": train.class_weights != "none",
        "train.label_smoothing": train.label_smoothing > 0,
        "mixed images": prepared.batches.mixing is not None,
        "weights of images": prepared.batches.weights is not None,
    }
    for name, used in odd.items():
        if used:
            raise ConfigError(f"episodes draw a few whole images of each class, without {name}")
    batches = EpisodeBatches(
        prepared.batches,
        ways=options.ways,
        shots=options.shots,
        queries=options.queries,
        episodes=options.episodes,
        rotations=options.rotations,
    )
    objective = prototypical(ways=options.ways, shots=options.shots)
    return Learner(prepared.model, batches, objective, prepared.validate)
