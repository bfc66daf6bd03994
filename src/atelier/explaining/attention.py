"""What transformers attend to: attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928).

The weights are computed again from what the modules read, by hooks: the networks stay as they are,
and those of timm keep their fused attention.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..models import Classifier
from ..models.tokens import SequencePooling, Tokens
from ..models.transformer import Attention
from .subject import Subject


@dataclass(frozen=True)
class Grid:
    """Where a transformer's tokens lie in the image.

    Attributes:
        places: rows and columns.
        prefix: tokens before them, of which the first, the class token, is what is read if there
            are any.
    """

    places: tuple[int, int]
    prefix: int


def token_grid(features: nn.Module) -> Grid | None:
    """The grid of a vision transformer of timm; None of any other network."""
    embed: Any = getattr(features, "patch_embed", None)
    size = getattr(embed, "grid_size", None)
    prefix = getattr(features, "num_prefix_tokens", None)
    if size is None or prefix is None or not attentions(features):
        return None
    return Grid((int(size[0]), int(size[1])), int(prefix))


def attentions(features: nn.Module) -> list[nn.Module]:
    """The attention modules whose weights are known, in their order: the house's own and the plain
    self-attention of timm."""
    # Not imported: where timm has not been, no module of it is there.
    timm: Any = sys.modules.get("timm.layers.attention")
    kinds = (Attention,) if timm is None else (Attention, timm.Attention)
    # A subclass may bring masks or biases, which would have to be known too.
    return [module for module in features.modules() if type(module) in kinds]


def why_no_rollout(subject: Subject) -> str:
    """Why attention cannot be rolled out in this network; empty where it can."""
    features = _features(subject)
    if not attentions(features):
        if any("attention" in type(module).__name__.lower() for module in features.modules()):
            return "its attention is of another kind than plain self-attention over all tokens"
        return "the network has no attention"
    if token_grid(features) is None and not _tokens(features):
        return "its tokens are no grid over the image"
    return ""


@torch.inference_mode()
def rollout(subject: Subject, pixels: Tensor) -> Tensor:
    """(N, C, H, W) floats of 0 to 255 to (N, H, W): how much each place has come into what is read.

    Each layer's weights, averaged over the heads, are mixed half and half with the identity, which
    is the residual connection, and multiplied through the layers. Read is the class token, or by
    the weights of a sequence pooling, or else the mean over all tokens. No class has a part in it.
    """
    from .layers import enlarged

    features = _features(subject)
    places: list[tuple[int, int]] = []
    weights: list[Tensor] = []
    shares: list[Tensor] = []

    def note_places(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        places.append((inputs[0].shape[2], inputs[0].shape[3]))

    def note_weights(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        weights.append(_weights(module, inputs[0]).mean(dim=1))

    def note_shares(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, SequencePooling)
        shares.append(module.weights(inputs[0])[:, 0])

    poolings = [m for m in features.modules() if isinstance(m, SequencePooling)]
    hooks = [m.register_forward_pre_hook(note_weights) for m in attentions(features)]
    hooks += [m.register_forward_pre_hook(note_places) for m in _tokens(features)]
    hooks += [m.register_forward_pre_hook(note_shares) for m in poolings]
    try:
        subject.logits(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    grid = token_grid(features) or Grid(places[0], _tokens(features)[0].prefix)
    identity = torch.eye(weights[0].shape[-1], device=weights[0].device)
    total = identity.expand_as(weights[0])
    for of_layer in weights:
        total = (of_layer + identity) / 2 @ total
    if shares:
        read = (shares[0][:, None] @ total)[:, 0]
    else:
        read = total[:, 0] if grid.prefix else total.mean(dim=1)
    maps = read[:, grid.prefix :].reshape(-1, 1, *grid.places)
    by_view = subject.unviewed(enlarged(maps, pixels)[:, 0])
    result: Tensor = (by_view * subject.classifier.weights[..., None]).sum(dim=0)
    return result


def _features(subject: Subject) -> nn.Module:
    model = subject.classifier.model
    return model.features if isinstance(model, Classifier) else model


def _tokens(features: nn.Module) -> list[Tokens]:
    return [module for module in features.modules() if isinstance(module, Tokens)]


def _weights(module: Any, x: Tensor) -> Tensor:
    """(N, T, D) to the (N, heads, T, T) weights that the module mixes tokens by."""
    own = isinstance(module, Attention)
    heads = module.heads if own else module.num_heads
    qkv = module.to_qkv(x) if own else module.qkv(x)
    q, k, _ = qkv.reshape(*x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    if not own:
        q, k = module.q_norm(q), module.k_norm(k)
    result: Tensor = (q * q.shape[-1] ** -0.5 @ k.mT).softmax(dim=-1)
    return result
