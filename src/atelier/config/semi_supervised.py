"""Methods that learn from images whose labels they do not see."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .augmentation import AugmentConfig
from .strict import Cells, DropRate, Probability, Strict

# No vertical flip, inversion or shear: a dress is long, a shirt has its neck above, and a heel is
# what tells a boot from a sneaker.
STRONG = AugmentConfig(
    mirror="random",
    rotation_degrees=12,
    translation=0.08,
    scaling=0.15,
    brightness=0.4,
    contrast=0.4,
    cutout=12,
)


class _SemiSupervised(Strict):
    """What all of them have. The recipe's `augment` is the weak augmentation of labeled and
    unlabeled images; `train.labels` says how many are labeled, `train.batch_size` how many of
    these are in a batch."""

    unlabeled_ratio: Annotated[int, Field(ge=1, le=64)] = 7
    """Unlabeled images in a batch for each of `train.batch_size`. An epoch is a pass over them."""
    weight: Annotated[float, Field(ge=0, le=10_000)] = 1.0
    """What the loss of the unlabeled images counts beside that of the labeled ones."""
    rampup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Epochs, fractions allowed, over which that weight rises from nearly 0, as exp(-5 (1 - t)^2)
    (Laine and Aila 2017)."""


class PseudoLabelConfig(_SemiSupervised):
    """The class that the network itself finds likeliest is an unlabeled image's label (Lee 2013,
    "Pseudo-Label: the simple and efficient semi-supervised learning method")."""

    name: Literal["pseudo-label"] = "pseudo-label"
    rampup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    threshold: Probability = 0.0
    """Least probability of that class for the image to count; 0 counts all, as in the paper."""


class PiModelConfig(_SemiSupervised):
    """Two augmentations of an image, and two draws of dropout, should get the same probabilities
    (the Pi model of Laine and Aila 2017, arXiv:1610.02242)."""

    name: Literal["pi-model"] = "pi-model"
    weight: Annotated[float, Field(ge=0, le=10_000)] = 50.0
    rampup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 10.0


class MeanTeacherConfig(_SemiSupervised):
    """A moving average of the network says what another augmentation of an image should get
    (Tarvainen and Valpola 2017, arXiv:1703.01780)."""

    name: Literal["mean-teacher"] = "mean-teacher"
    weight: Annotated[float, Field(ge=0, le=10_000)] = 50.0
    rampup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 10.0
    decay: DropRate = 0.998
    """Per-step decay of the teacher's weights. `train.ema_decay` of the same value keeps the
    teacher's weights as the run's."""


class _Thresholded(_SemiSupervised):
    """Pseudo-labels from a weak augmentation, learned on a strong one."""

    threshold: Probability = 0.95
    """Least probability of the likeliest class for an image to count."""
    align: bool = True
    """Distribution alignment (Berthelot et al. 2020, arXiv:1911.09785): probabilities are moved
    so that, on average, each class is as frequent as among the labeled images. Few labels need it:
    without it, a class that is mistaken for another dies out."""
    strong: AugmentConfig = STRONG
    """The strong augmentation."""


class FixMatchConfig(_Thresholded):
    """A pseudo-label of the weakly augmented image, where it is sure enough, is learned on the
    strongly augmented one (Sohn et al. 2020, arXiv:2001.07685)."""

    name: Literal["fixmatch"] = "fixmatch"


class FlexMatchConfig(_Thresholded):
    """FixMatch with a threshold for each class, the lower the fewer of its images are learned
    (Zhang et al. 2021, arXiv:2110.08263)."""

    name: Literal["flexmatch"] = "flexmatch"


class LabelPropagationConfig(_SemiSupervised):
    """An unlabeled image's label is what reaches it from the labeled ones along a graph of images
    that are alike (Iscen et al. 2019, arXiv:1904.04717)."""

    name: Literal["label-propagation"] = "label-propagation"
    along: Literal["hog", "pixels"] = "hog"
    """What likeness is of, beside what a network makes of the images once it has learned something:
    histograms of oriented gradients (Dalal & Triggs 2005), or the pixels themselves."""
    cells: Cells = (4, 7)
    """Sides of a histogram's cell, in pixels; the histograms of several stand side by side."""
    neighbors: Annotated[int, Field(ge=1, le=1000)] = 10
    """Of each image in the graph."""
    components: Annotated[int, Field(ge=1, le=4096)] = 96
    """Principal components that images are compared by, of each kind of likeness."""
    whiten: Probability = 0.5
    """Power of its standard deviation that each component is divided by: at 0 the first components
    decide, at 1 all count alike."""
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share that an image takes from its neighbors rather than from its own label. None: the fewer
    images have a label, the farther it spreads; 1 - alpha is six times their share, within 0.001
    and 0.1."""
    balance: bool = True
    """Each class reaches as large a share of the images as it has of the labels."""
    refresh_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """After so many epochs, again and again, a new graph takes in what the network makes of the
    images by then; 0 keeps the first, which is of `along` and of the run in train.init, if any."""


class ContrastiveConfig(Strict):
    """Views of an image should be near each other and far from those of all others, without any
    label (SimCLR, Chen et al. 2020, arXiv:2002.05709). It trains no head: what comes after starts
    from the run by `train.init`."""

    name: Literal["contrastive"] = "contrastive"
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.2
    """What cosines are divided by."""
    projection: Annotated[int, Field(ge=2, le=16_384)] = 64
    """Width of the projection that they are taken in, which is not kept."""


SemiSupervisedConfig = (
    PseudoLabelConfig
    | PiModelConfig
    | MeanTeacherConfig
    | FixMatchConfig
    | FlexMatchConfig
    | LabelPropagationConfig
)
