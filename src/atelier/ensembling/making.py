"""From members to one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from ..config import EnsembleConfig
from ..config.networks import MemberConfig
from ..data import Dataset, ImageSplit, load_dataset, validation_of
from ..data.batches import Normalizer
from ..devices import resolve_device
from ..errors import ConfigError
from ..evaluation import judged_images
from ..models import Classifier
from ..models.ensemble import assembled
from ..predictions import Predictions
from ..predictor import Predictor
from ..runs import ModelCard, refuse_other_data
from ..training.averaging import reestimate_batch_norm
from .members import Member, shared_validation
from .soups import averaged, greedy, start_warning

Soup = Literal["uniform", "greedy"]

_BATCH_NORM_IMAGES = 5_000
_BATCH = 250


@dataclass(frozen=True)
class Made:
    """One network of several.

    Attributes:
        network: on the CPU, in evaluation mode.
        card: what it needs beside its weights.
        members: what is in it.
        notes: sentences that who reads the run must know.
    """

    network: Classifier
    card: ModelCard
    members: list[Member]
    notes: list[str]


class Maker:
    """Makes networks of members.

    Args:
        members: that fit together, at least one.
        device: of what is computed.

    Attributes:
        held_out: the images that all members have held out; None where there are none.
        accuracies: of each member on them.
    """

    def __init__(self, members: list[Member], device: str) -> None:
        self.members = members
        self.first = members[0].run
        self.device = str(resolve_device(device))
        self.dataset: Dataset | None = None
        self.held_out: ImageSplit | None = None
        self.predictions: list[Predictions] = []
        kept = shared_validation([member.run for member in members])
        if kept is not None:
            images = judged_images(self.first, self._data(), "validation")
            self.held_out = images if np.array_equal(images.ids, kept.ids) else None
        if self.held_out is not None:
            self.predictions = [self.predict(m.network, m.run.card) for m in members]

    @property
    def accuracies(self) -> list[float]:
        """Of each member on the held-out images; empty without them."""
        return [float(predictions.correct.mean()) for predictions in self.predictions]

    def predict(self, network: nn.Module, card: ModelCard) -> Predictions:
        """What a network says of the held-out images."""
        assert self.held_out is not None
        return Predictor(network, card, device=self.device).predict_split(self.held_out)

    def ensemble(self) -> Made:
        """The ensemble, with the views of its members where all have the same."""
        cards = [member.run.card for member in self.members]
        first = cards[0]
        views = {(card.mirror_average, card.shift_average) for card in cards}
        # Views of all alike are the whole ensemble's, as of one network; else each takes its own.
        mirrored, shifted = views.pop() if len(views) == 1 else (False, False)
        config = EnsembleConfig(
            mean=first.mean,
            std=first.std,
            members=tuple(
                MemberConfig(
                    model=card.model,
                    mean=card.mean,
                    std=card.std,
                    background=card.background,
                    mirror_average=card.mirror_average and not mirrored,
                    shift_average=card.shift_average and not shifted,
                )
                for card in cards
            ),
        )
        changes = {"model": config, "mirror_average": mirrored, "shift_average": shifted}
        networks = [member.network for member in self.members]
        network = assembled(config, networks, first.image_shape)
        return Made(network, first.model_copy(update=changes), self.members, [])

    def soup(self, kind: Soup) -> Made:
        """The soup, with the first member's preprocessing.

        Raises:
            ConfigError: a greedy one without held-out images to choose by.
        """
        card = self.first.card
        warning = start_warning(self.members)
        notes = [] if warning is None else [warning]
        if kind == "uniform":
            soup = averaged([member.network for member in self.members], self._reestimate)
            return Made(soup, card, self.members, notes)
        if self.held_out is None:
            raise ConfigError(
                "a greedy soup chooses by images that all of its runs have held out, and these "
                "have none in common",
                fix="Pass --soup uniform, or train them with one --set train.split_seed",
            )
        soup, chosen = greedy(
            self.members,
            self.accuracies,
            lambda network: float(self.predict(network, card).correct.mean()),
            self._reestimate,
        )
        notes.append(f"{len(chosen)} of {len(self.members)} are in the soup")
        return Made(soup, card, [self.members[k] for k in chosen], notes)

    def _reestimate(self, network: nn.Module) -> None:
        """Give the batch norms the statistics of training images, as they are."""
        recipe, card, dataset = self.first.recipe, self.first.card, self._data()
        share = recipe.train.validation_share
        chosen, _ = validation_of(dataset, size=share, seed=recipe.split_seed)
        some = chosen[:: max(1, len(chosen) // _BATCH_NORM_IMAGES)][:_BATCH_NORM_IMAGES]
        normalize = Normalizer(card.mean, card.std, torch.device(self.device))
        network.to(self.device)
        parts = (some[start : start + _BATCH] for start in range(0, len(some), _BATCH))
        reestimate_batch_norm(
            network,
            (
                normalize(torch.from_numpy(dataset.train.images[part]).to(self.device))
                for part in parts
            ),
        )
        network.to("cpu")

    def _data(self) -> Dataset:
        if self.dataset is None:
            self.dataset = load_dataset(self.first.recipe.data, self.first.recipe.photos)
            refuse_other_data(self.first.path, self.dataset)
        return self.dataset
