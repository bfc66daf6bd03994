"""Few labels and many images without one, all with the same small network and fixed schedules.

Nothing is held out: who has 40 labels has no 5,000 others to choose by.
"""

from __future__ import annotations

from ..config import (
    AugmentConfig,
    MethodConfig,
    Recipe,
    SpeedNetConfig,
    SupervisedConfig,
    TrainConfig,
)
from ..config.semi_supervised import (
    ContrastiveConfig,
    FixMatchConfig,
    FlexMatchConfig,
    LabelPropagationConfig,
    MeanTeacherConfig,
    PiModelConfig,
    PseudoLabelConfig,
)

_EMA_DECAY = 0.998
# Crops of half the image still show which garment it is.
_VIEWS = AugmentConfig(
    mirror="random",
    resized_crop=0.4,
    aspect=0.33,
    rotation_degrees=10,
    brightness=0.4,
    contrast=0.4,
    cutout=8,
)


def few_labels() -> Recipe:
    """The labels alone, without any other image: what the semi-supervised recipes are held against.

    So many epochs because each is a step or a few.
    """
    recipe = _few("few-labels", SupervisedConfig(), num_epochs=400)
    return recipe.changed({"train.validate_every": 400, "train.ema_decay": 0.99})


def pseudo_label() -> Recipe:
    """The network learns its own guesses for unlabeled images."""
    return _few("pseudo-label", PseudoLabelConfig(), num_epochs=50)


def pi_model() -> Recipe:
    """Two augmentations of an unlabeled image should get the same answer."""
    return _few("pi-model", PiModelConfig(), num_epochs=50)


def mean_teacher() -> Recipe:
    """Unlabeled images should get the answer of an averaged network."""
    return _few("mean-teacher", MeanTeacherConfig(decay=_EMA_DECAY), num_epochs=50)


def fixmatch() -> Recipe:
    """Sure guesses for weakly augmented images are learned on strongly augmented ones."""
    return _few("fixmatch", FixMatchConfig(), num_epochs=50)


def flexmatch() -> Recipe:
    """FixMatch that is content with less where a class is learned slowly."""
    return _few("flexmatch", FlexMatchConfig(), num_epochs=50)


def label_propagation() -> Recipe:
    """Labels spread along a graph of like images, and the network learns them: a few epochs, for it
    would learn the wrong ones too. The first graph is of histograms of gradients, the later ones of
    what the network has made of the images as well. 80.09, 81.84 and 85.52 % of the test images
    with 40, 100 and 400 labels, and after a second round, from that run (--init), 80.88, 82.70 and
    86.45 %: means of three seeds."""
    return _few("label-propagation", LabelPropagationConfig(refresh_epochs=2), num_epochs=6)


def contrastive() -> Recipe:
    """No labels at all: a start for fixmatch, flexmatch or a linear probe, by --init."""
    recipe = _few("contrastive", ContrastiveConfig(), num_epochs=30, batch_size=256, labels=0)
    return recipe.model_copy(update={"augment": _VIEWS})


def _few(
    name: str,
    method: MethodConfig,
    *,
    num_epochs: int,
    labels: int = 400,
    batch_size: int = 32,
) -> Recipe:
    return Recipe(
        name=name,
        # Of fast-91, with larger logits at first: AdamW moves the head more slowly than SGD does.
        model=SpeedNetConfig(stem_filters=16, convolutions=(1, 3), scale=0.5),
        augment=AugmentConfig(mirror="random", crop_padding=2),
        mirror_average=True,
        train=TrainConfig(
            num_epochs=num_epochs,
            batch_size=batch_size,
            lr=2e-3,
            weight_decay=0.02,
            ema_decay=_EMA_DECAY,
            keep="last",
            validation_share=0,
            labels=labels,
        ),
        method=method,
    )
