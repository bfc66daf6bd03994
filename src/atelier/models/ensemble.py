"""Networks that were trained each for itself, as one network (deep ensembles: Lakshminarayanan et
al. 2017, arXiv:1612.01474)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import EnsembleConfig
from ..config.networks import MemberConfig
from .classifier import Classifier, ImageShape
from .speednet import Members


class MeanOfMembers(nn.Linear):
    """The heads of all members side by side, and the mean of their probabilities.

    Args:
        widths: of each member's embedding, D_m.
        num_classes: K.
    """

    def __init__(self, widths: Sequence[int], num_classes: int) -> None:
        super().__init__(sum(widths), num_classes)
        self.widths = list(widths)
        self.bias = nn.Parameter(torch.zeros(len(widths), num_classes))

    def forward(self, embedding: Tensor) -> Tensor:
        """(N, sum of D_m) to (N, K): logarithms of the mean of the members' probabilities."""
        parts = torch.split(embedding, self.widths, dim=1)
        weights = torch.split(self.weight, self.widths, dim=1)
        logits = torch.stack(
            [F.linear(p, w, b) for p, w, b in zip(parts, weights, self.bias, strict=True)]
        )
        return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(self.widths))

    @torch.no_grad()
    def take(self, heads: Sequence[nn.Linear]) -> None:
        """Put the members' own heads in."""
        self.weight.copy_(torch.cat([head.weight for head in heads], dim=1))
        for own, head in zip(self.bias, heads, strict=True):
            own.copy_(head.state_dict().get("bias", torch.zeros_like(own)))


class Member(nn.Module):
    """A network below its head, on images with another normalization than its own.

    Args:
        network: of the member.
        config: of the member.
        mean: of the images' normalization, as a share of 255 for each channel.
        std: likewise.
    """

    factor: Tensor
    offset: Tensor
    fill: Tensor

    def __init__(
        self,
        network: nn.Module,
        config: MemberConfig,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.network = network
        own_mean, own_std, given_mean, given_std = (
            torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)
            for values in (config.mean, config.std, mean, std)
        )
        # A constant channel was not divided by its deviation.
        own_std, given_std = (s.where(s > 0, torch.ones_like(s)) for s in (own_std, given_std))
        self.renormalizes = (config.mean, config.std) != (tuple(mean), tuple(std))
        derived = {
            "factor": given_std / own_std,
            "offset": (given_mean - own_mean) / own_std,
            "fill": (config.background / 255 - own_mean) / own_std,
        }
        for name, values in derived.items():
            self.register_buffer(name, values.float(), persistent=False)
        self.mirrored, self.shifted = config.mirror_average, config.shift_average

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, D): the mean over the member's views, which its head, being linear,
        makes the mean of their logits of."""
        if self.renormalizes:
            images = images * self.factor + self.offset
        total: Tensor | int = 0
        # One view after the other, for as a batch they would need so much more memory. The image as
        # it is comes last: hooks that look into the network are left with its maps.
        for view, weight in self._views(images):
            total = total + weight * self.network(view)
        return torch.as_tensor(total)

    def _views(self, images: Tensor) -> list[tuple[Tensor, float]]:
        views = [(images, 1.0)]
        if self.shifted:
            padded = F.pad(images - self.fill, (1, 1, 1, 1)) + self.fill
            height, width = images.shape[-2:]
            moved = [padded[:, :, at : at + height, at : at + width] for at in (0, 2)]
            views = [*((view, 0.25) for view in moved), (images, 0.5)]
        if self.mirrored:
            flipped = [(view.flip(-1), weight / 2) for view, weight in views]
            views = [*flipped, *((view, weight / 2) for view, weight in views)]
        return views


def build_ensemble(config: EnsembleConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """All members, freshly drawn: their embeddings side by side, and a head that gives the
    logarithm of the mean of their probabilities."""
    # Here, for the table of all networks holds this one too.
    from . import build_model

    networks = [build_model(member.model, image_shape, num_classes) for member in config.members]
    members: list[nn.Module] = [
        Member(network.features, member, config.mean, config.std)
        for network, member in zip(networks, config.members, strict=True)
    ]
    head = MeanOfMembers([network.head.in_features for network in networks], num_classes)
    head.take([network.head for network in networks])
    return Classifier(Members(members), head)


def assembled(
    config: EnsembleConfig, networks: Sequence[Classifier], image_shape: ImageShape
) -> Classifier:
    """The ensemble of trained networks, in the order of its members, in evaluation mode."""
    ensemble = build_ensemble(config, image_shape, networks[0].head.out_features)
    assert isinstance(ensemble.features, Members)
    assert isinstance(ensemble.head, MeanOfMembers)
    for member, network in zip(ensemble.features.networks, networks, strict=True):
        assert isinstance(member, Member)
        member.network.load_state_dict(network.features.state_dict())
    ensemble.head.take([network.head for network in networks])
    return ensemble.eval()
