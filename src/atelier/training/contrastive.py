"""Learning from images alone, for what comes after (contrastive pretraining)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Recipe
from ..config.semi_supervised import ContrastiveConfig
from ..data.batches import Batch
from ..errors import ConfigError
from ..models import Classifier
from .learner import Learner, learn_from_labels
from .objectives import Logs
from .preparation import Prepared
from .views import augmenter_of


class Contrast(nn.Module):
    """NT-Xent: each view should find the other of its image among all views of the batch, by the
    cosine of their projections (SimCLR, Chen et al. 2020, arXiv:2002.05709, equation 1).

    Args:
        width: D, of the embeddings.
        projection: width of the two-layer projection.
        temperature: what cosines are divided by.
    """

    def __init__(self, width: int, projection: int, temperature: float) -> None:
        super().__init__()
        self.projection = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, projection)
        )
        self.temperature = temperature

    def forward(self, model: Classifier, batch: Batch) -> tuple[Tensor, Logs]:
        """The loss of a batch with one more view of each image."""
        embeddings = model.features(torch.cat([batch.images, batch.views[0]])).float()
        loss, found = nt_xent(self.projection(embeddings).float(), self.temperature)
        return loss, {"loss": loss.detach(), "pairs_found": found}


def nt_xent(projections: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The mean loss of all 2N views, and the share of them that are nearest to their partner.

    Args:
        projections: (2N, P) of one view of each image, then of the other, in the same order.
        temperature: what cosines are divided by.
    """
    unit = F.normalize(projections, dim=1)
    cosines = (unit @ unit.T / temperature).fill_diagonal_(-torch.inf)
    places = torch.arange(len(unit), device=unit.device)
    partners = places.roll(len(unit) // 2)
    found = (cosines.detach().argmax(dim=1) == partners).float().mean()
    return F.cross_entropy(cosines, partners), found


def learn_by_contrast(prepared: Prepared, recipe: Recipe) -> Learner:
    """SimCLR on all training images, `augment` being what two views differ by. Their labels are
    not looked at, and the head stays as it was.

    Raises:
        ConfigError: fewer labels than images, or the network has several members.
    """
    options = recipe.method
    assert isinstance(options, ContrastiveConfig)
    if recipe.train.labels:
        raise ConfigError(
            "contrastive looks at no labels",
            got=f"{recipe.train.labels} labels",
            fix="Set train.labels=0 here, and the labels in the training that starts from the run",
        )
    if prepared.model.members > 1:
        raise ConfigError(
            "contrastive trains one network",
            got=f"{prepared.model.members} members",
            fix="Set model.members=1",
        )
    images = prepared.batches
    views = [
        augmenter_of(config, prepared, recipe, len(images.labels))
        for config in [recipe.augment] * 2
    ]
    batches = images.without_labels(
        images.chosen.cpu().numpy(), recipe.train.batch_size, views[0], views=views[1:]
    )
    width = prepared.model.head.in_features
    objective = Contrast(width, options.projection, options.temperature).to(prepared.device)
    note = (
        "the head has learned nothing: start another training from this run, as with --init, or "
        "train its head with train.freeze=backbone"
    )
    plain = learn_from_labels(prepared, recipe)
    return Learner(plain.model, batches, objective, plain.validate, (note,))
