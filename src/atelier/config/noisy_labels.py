"""The options of learning from labels of which some are wrong."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .strict import DropRate, Probability, Strict


class GeneralizedCrossEntropyConfig(Strict):
    """Generalized cross-entropy (Zhang & Sabuncu 2018, arXiv:1805.07836): a label that the network
    finds unlikely pulls less than in cross-entropy."""

    name: Literal["generalized-cross-entropy"] = "generalized-cross-entropy"
    q: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Near 0 the loss is cross-entropy, at 1 the absolute error, which learns slowly."""


class BootstrappingConfig(Strict):
    """Bootstrapping (Reed et al. 2014, arXiv:1412.6596): the target is partly the label and partly
    what the network says itself."""

    name: Literal["bootstrapping"] = "bootstrapping"
    target: Literal["soft", "hard"] = "hard"
    """What the network says: its probabilities, or the likeliest class."""
    share: Probability = 0.8
    """Weight of the label in the target; the paper has 0.8 with hard and 0.95 with soft ones."""


class CoTeachingConfig(Strict):
    """Co-teaching (Han et al. 2018, arXiv:1804.06872): two networks, of which each learns from the
    images that have the smallest losses in the other. Needs a network of two members."""

    name: Literal["co-teaching"] = "co-teaching"
    forget_rate: DropRate | None = None
    """Share of each batch that is left out in the end, as large as the share of wrong labels;
    null is train.label_noise."""
    gradual_epochs: Annotated[float, Field(gt=0, le=10_000)] = 10.0
    """Epochs over which that share rises linearly from none."""
