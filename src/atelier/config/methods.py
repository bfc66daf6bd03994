"""What is learned from, beside or instead of an image's own label."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from .domain_adaptation import (
    BatchNormAdaptationConfig,
    DannConfig,
    DeepCoralConfig,
    SelfTrainingConfig,
)
from .few_shot import PrototypicalConfig
from .noisy_labels import BootstrappingConfig, CoTeachingConfig, GeneralizedCrossEntropyConfig
from .semi_supervised import ContrastiveConfig, SemiSupervisedConfig
from .strict import Probability, Strict


class SupervisedConfig(Strict):
    """Cross-entropy with the labels."""

    name: Literal["supervised"] = "supervised"


class DistillationConfig(Strict):
    """Knowledge distillation (Hinton et al. 2015, arXiv:1503.02531): the network learns what other
    runs' networks say of each training image, beside its label. A run of the same recipe as the
    teacher makes it self-distillation (Furlanello et al. 2018, arXiv:1805.04770)."""

    name: Literal["distillation"] = "distillation"
    teachers: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    """Run folders; of several, the mean of their probabilities is learned."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 4.0
    """What the logits of teachers and student are divided by before they are compared."""
    share: Probability = 0.9
    """Weight of the teachers in the loss; the label has the rest."""
    ask: Literal["each-view", "once"] = "each-view"
    """Teachers see each augmented view that the student learns from, as the patient teachers of
    Beyer et al. 2022 (arXiv:2106.05237); or each image once as it is, before the training, by the
    views that they judge by: then an epoch costs no more than one without them, and what the
    augmentation did to an image, they do not see."""


class JensenShannonConfig(Strict):
    """Cross-entropy with the labels, and the same answer for an image and two AugMix views of it
    (Hendrycks et al. 2020, arXiv:1912.02781), by three passes of each image."""

    name: Literal["jensen-shannon"] = "jensen-shannon"
    weight: Annotated[float, Field(gt=0, le=1000)] = 12.0
    """Of the divergence of the three answers in the loss; `augment.policy_strength` is that of the
    views."""


MethodConfig = Annotated[
    SupervisedConfig
    | JensenShannonConfig
    | DistillationConfig
    | SemiSupervisedConfig
    | ContrastiveConfig
    | PrototypicalConfig
    | GeneralizedCrossEntropyConfig
    | BootstrappingConfig
    | CoTeachingConfig
    | BatchNormAdaptationConfig
    | DannConfig
    | DeepCoralConfig
    | SelfTrainingConfig,
    Field(discriminator="name"),
]


def method_configs() -> dict[str, type[BaseModel]]:
    """The class of each method's options, by its name."""
    union, *_ = get_args(MethodConfig)
    return {member.model_fields["name"].default: member for member in get_args(union)}
