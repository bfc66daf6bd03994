"""The stages of a network, from the pixels up."""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Any

from torch import nn

from .speednet import Members


def stages_of(features: nn.Module, *, blocks: bool = False) -> list[list[nn.Parameter]]:
    """The parameters of `features`, each once, in stages from the first to the last.

    A network of timm brings its own grouping. Any other is cut at its children: each that has a
    weight of two dimensions or more begins a stage, and norms go with what they follow. Members
    side by side are cut alike, and their stages of one height are one.

    Args:
        features: the part below the head.
        blocks: single blocks instead of stages, where the network tells them apart.
    """
    if isinstance(features, Members):
        each = [stages_of(network, blocks=blocks) for network in features.networks]
        return [list(chain(*level)) for level in zip_longest(*each, fillvalue=[])]
    matcher: Any = getattr(features, "group_matcher", None)
    if matcher is not None:
        from timm.models import group_parameters

        parameters = dict(features.named_parameters())
        groups = group_parameters(features, matcher(coarse=not blocks))
        return [[parameters[name] for name in groups[i]] for i in sorted(groups)]
    stages: list[list[nn.Parameter]] = [list(features.parameters(recurse=False))]
    for child in features.children():
        own = list(child.parameters())
        if any(p.ndim >= 2 for p in own) and stages[-1]:
            stages.append([])
        stages[-1] += own
    return [stage for stage in stages if stage]
