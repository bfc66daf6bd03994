"""The linear probe: a frozen network's embeddings, computed once, and a head trained on them.

Embeddings stand in for images in the same loop, with the same order, sampling, pruning and weights,
so that the result is that of the slow way but for the rounding of the embeddings.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..config import AugmentConfig, Recipe
from ..data.batches import TrainingBatches
from ..errors import ConfigError
from ..models import Classifier
from ..predictions import Predictions
from ..predictor import Predictor
from ..progress import Bar, progress_bar
from .learner import Learner
from .loop import Validate
from .preparation import Prepared, measures

_BATCH_SIZE = 256
_VIEW_SEED = 0x5EED


def caches_embeddings(recipe: Recipe) -> bool:
    """Whether `recipe` trains the head alone on images, or views of them, that never change.

    Raises:
        ConfigError: views are to be kept of what has no views: mixed or growing images.
    """
    train, augment = recipe.train, recipe.augment
    if train.freeze == "none" or train.unfreeze_epochs:
        return False
    if train.cached_views:
        other = {
            "augment.mixup": augment.mixup,
            "augment.fmix": augment.fmix,
            "augment.cutmix": augment.cutmix,
            "train.start_size": train.start_size,
        }
        for name, value in other.items():
            if value:
                raise ConfigError(
                    f"train.cached_views keeps views of single images of one size, and {name} "
                    "makes others",
                    got=value,
                    fix=f"Set {name}=0, or train.cached_views=0",
                )
        return True
    return augment == AugmentConfig() and not train.start_size


def probe(learner: Learner, prepared: Prepared, recipe: Recipe) -> Learner:
    """The same with the head alone, on embeddings that are computed here.

    Args:
        learner: of the whole network.
        prepared: its network is set to evaluation mode.
        recipe: of the run.
    """
    whole = prepared.model
    head = Classifier(nn.Identity(), whole.head, members=whole.members)
    views = recipe.train.cached_views or 1
    total = views * len(prepared.batches.labels)
    with progress_bar("embeddings", total, show=prepared.progress) as bar:
        batches = _embedded(prepared, views, recipe.seed, bar)
    return replace(learner, model=head, batches=batches, validate=_validate(prepared))


class _Views:
    """Draws one of V views of each image, in the place of an `Augmenter`."""

    def __init__(self) -> None:
        self.generator = torch.Generator()

    def start_epoch(self, epoch: int, seed: int) -> None:  # noqa: ARG002 - as `Augmenter` has it
        self.generator.manual_seed(seed)

    def __call__(self, embeddings: Tensor, positions: Tensor) -> Tensor:
        """(B, V, D) to (B, D)."""
        count, views = embeddings.shape[:2]
        drawn = torch.randint(views, (count,), generator=self.generator).to(positions.device)
        return embeddings[torch.arange(count, device=positions.device), drawn]


def _unchanged(embeddings: Tensor) -> Tensor:
    return embeddings


@torch.no_grad()
def _embedded(prepared: Prepared, views: int, seed: int, bar: Bar) -> TrainingBatches:
    """The same batches with (V, D) float32 embeddings in the place of each image."""
    batches = prepared.batches
    features = prepared.model.features.eval()
    count = len(batches.labels)
    everything = torch.arange(count, device=prepared.device)
    parts = []
    for view in range(views):
        view_seed = int(np.random.SeedSequence((seed, _VIEW_SEED, view)).generate_state(1)[0])
        batches.augment.start_epoch(view + 1, view_seed)
        rows = []
        for start in range(0, count, _BATCH_SIZE):
            positions = everything[start : start + _BATCH_SIZE]
            images = batches.normalize(batches.images[batches.chosen[positions]])
            rows.append(features(batches.augment(images, positions)).float())
            bar.update(view * count + start + len(positions))
        parts.append(torch.cat(rows))
    embedded = copy.copy(batches)
    embedded.images = torch.stack(parts, dim=1)
    embedded.chosen = everything
    embedded.normalize = _unchanged  # type: ignore[assignment]
    embedded.augment = _Views()  # type: ignore[assignment]
    embedded.mixing = None
    return embedded


def _validate(prepared: Prepared) -> Validate | None:
    validation = prepared.validation
    if validation is None:
        return None
    # Averaged over mirror images and shifts as logits are: the head is linear, so that the mean of
    # its logits is what it makes of the mean.
    predictor = Predictor(prepared.model.features, prepared.card, device=str(prepared.device))
    embeddings = torch.from_numpy(predictor.logits(validation.images)).to(prepared.device)

    def measure(model: nn.Module) -> dict[str, float]:
        was_training = model.training
        model.eval()
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = model(embeddings).float().cpu().numpy()
        model.train(was_training)
        classes = prepared.card.classes
        return measures(Predictions(validation.ids, validation.labels, logits, classes))

    return measure
