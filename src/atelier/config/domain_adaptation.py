"""Learning for images of another domain, of which no label is seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .strict import Strict

Weight = Annotated[float, Field(gt=0, le=1000)]
Share = Annotated[float, Field(gt=0, le=1)]


class TargetConfig(Strict):
    """What every such method is told."""

    target: Annotated[str, Field(min_length=1)]
    """A data set, of whose training images the labels are not looked at."""


class BatchNormAdaptationConfig(TargetConfig):
    """Batch norms with the statistics of the target (AdaBN, Li et al. 2016, arXiv:1603.04779)."""

    name: Literal["batch-norm-adaptation"] = "batch-norm-adaptation"


class DannConfig(TargetConfig):
    """Features by which a discriminator cannot tell the domains apart (DANN, Ganin et al. 2016,
    arXiv:1505.07818)."""

    name: Literal["dann"] = "dann"
    weight: Weight = 1.0
    """Of the discriminator's gradient, once it has grown to it."""
    hidden: Annotated[int, Field(ge=1, le=16384)] = 128
    """Hidden units of the discriminator."""


class DeepCoralConfig(TargetConfig):
    """Logits with the same covariance in both domains (Deep CORAL, Sun and Saenko 2016,
    arXiv:1607.01719)."""

    name: Literal["deep-coral"] = "deep-coral"
    weight: Weight = 1.0
    """Of the distance between the covariances, beside the loss with the labels."""


class SelfTrainingConfig(TargetConfig):
    """Pseudo-labels for the target, from the network itself and balanced over the classes (CBST,
    Zou et al. 2018, arXiv:1810.07911)."""

    name: Literal["self-training"] = "self-training"
    weight: Weight = 1.0
    """Of the loss with the pseudo-labels."""
    first_share: Share = 0.4
    """Of the images that are taken for a class, the most confident that are learned, in the first
    epoch that has pseudo-labels."""
    last_share: Share = 0.8
    """The same in the last epoch; between the two it grows evenly."""

    @model_validator(mode="after")
    def _share_grows(self) -> SelfTrainingConfig:
        if self.first_share > self.last_share:
            raise ValueError("first_share must be at most last_share")
        return self
