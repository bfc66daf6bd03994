"""Where in a network Grad-CAM looks, and what it finds there.

Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): the feature maps of a deep layer, each weighted
by the mean gradient of the score in it, summed, and cut off at zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import Classifier
from ..models.speednet import Members
from .attention import token_grid
from .subject import Aim, Subject

_FINEST = 5  # places on a side below which a map shows little of where


@dataclass(frozen=True)
class Layer:
    """A module whose output is a feature map.

    Attributes:
        module: of the network.
        places: height and width of the map.
        prefix: tokens before those of the places; -1 where the output is no sequence of tokens.
        channels_last: whether the channels are the last dimension.
    """

    module: nn.Module
    places: tuple[int, int]
    prefix: int = -1
    channels_last: bool = False

    def as_map(self, output: Tensor) -> Tensor:
        """The module's output as (N, D, h, w)."""
        if self.prefix >= 0:
            tokens = output[:, self.prefix :]
            return tokens.transpose(1, 2).reshape(len(tokens), -1, *self.places)
        return output.permute(0, 3, 1, 2) if self.channels_last else output


def deepest_maps(subject: Subject) -> list[Layer]:
    """The last feature map of the network, or of each member where several stand side by side.

    Of the maps with at least 5 places on each side the last one; where there is none, the last with
    more than one place. Empty where the network keeps no map.
    """
    model = subject.classifier.model
    features = model.features if isinstance(model, Classifier) else model
    grid = token_grid(features)
    blocks = getattr(features, "blocks", None)
    if grid is not None and isinstance(blocks, nn.Sequential) and hasattr(blocks[-1], "norm1"):
        # What the last attention reads: behind it, most of a class token's gradient has gone.
        last: Any = blocks[-1]
        return [Layer(last.norm1, grid.places, grid.prefix)]
    networks = list(features.networks) if isinstance(features, Members) else [features]
    channels_last = getattr(features, "output_fmt", "NCHW") == "NHWC"
    found = []
    for network in networks:
        seen = _seen_in(network, subject, channels_last=channels_last)
        fine = [layer for layer in seen if min(layer.places) >= _FINEST]
        found += (fine or seen)[-1:]
    return found


@torch.inference_mode()
def _seen_in(network: nn.Module, subject: Subject, *, channels_last: bool) -> list[Layer]:
    """All modules of `network` that give a map, in the order in which they end."""
    seen: list[Layer] = []

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            height, width = output.shape[1:3] if channels_last else output.shape[2:]
            if min(height, width) > 1:
                seen.append(Layer(module, (height, width), channels_last=channels_last))

    hooks = [m.register_forward_hook(note) for m in network.modules() if m is not network]
    try:
        network(torch.zeros(1, *subject.card.image_shape, device=subject.device))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@contextmanager
def outputs_of(modules: list[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """What the modules gave when they last ran, within the block."""
    kept: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: object, output: Tensor) -> None:
        kept[module] = output

    hooks = [module.register_forward_hook(keep) for module in modules]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def grad_cam(subject: Subject, pixels: Tensor, aim: Aim) -> Tensor:
    """(N, C, H, W) floats of 0 to 255 to (N, H, W) maps, none negative.

    A network that judges by several views has a map for each, laid back over the image; members
    side by side have a map each. They are summed, for their scores are.
    """
    layers = deepest_maps(subject)
    with outputs_of([layer.module for layer in layers]) as kept:
        score = subject.score(pixels.clone().requires_grad_(), *aim).sum()
    outputs = [kept[layer.module] for layer in layers]
    gradients = torch.autograd.grad(score, outputs)
    total = torch.zeros_like(pixels[:, 0])
    for layer, output, gradient in zip(layers, outputs, gradients, strict=True):
        weights = layer.as_map(gradient).mean(dim=(2, 3), keepdim=True)
        maps = (weights * layer.as_map(output.detach())).sum(dim=1, keepdim=True).relu()
        total += subject.unviewed(enlarged(maps, pixels)[:, 0]).sum(dim=0)
    return total


def enlarged(maps: Tensor, pixels: Tensor) -> Tensor:
    """(N, 1, h, w) maps at the size of the pixels."""
    return F.interpolate(maps, size=pixels.shape[-2:], mode="bilinear", align_corners=False)
