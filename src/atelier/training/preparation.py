"""All that a training needs, made before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..config import EnsembleConfig, Recipe, TrainConfig
from ..data import Dataset, ImageSplit, normalization_of, validation_of
from ..data.augment import Augmenter
from ..data.batches import Normalizer, TrainingBatches
from ..data.held_out import class_numbers
from ..data.label_noise import LabelNoise, wrong_labels
from ..data.labeled import FewLabels, draw_labeled
from ..data.mixing import Mixing
from ..data.pruning import Pruning
from ..data.resolution import Growth
from ..errors import ConfigError, DataError
from ..models import Classifier, ImageShape, build_model, fit_whitening
from ..predictions import Predictions
from ..predictor import Predictor
from ..runs import ModelCard
from .loop import Validate
from .transfer import Start, start_of


@dataclass(frozen=True)
class Prepared:
    """A network, the batches that it learns from and the images that it is measured on.

    Attributes:
        model: on the device, its whitening convolutions fitted.
        batches: of the training part.
        validation: what was held out; None where nothing was.
        card: what predictions by the model need.
        device: of the training.
        start: where the weights come from; None where they were drawn.
        noise: which labels were made wrong; None where none were.
        few: which images have a label; None where all have.
        progress: whether what takes long before the first epoch shows a bar.
    """

    model: Classifier
    batches: TrainingBatches
    validation: ImageSplit | None
    card: ModelCard
    device: torch.device
    start: Start | None = None
    noise: LabelNoise | None = None
    few: FewLabels | None = None
    progress: bool = False

    @property
    def validate(self) -> Validate | None:
        """Measures on the validation part, where there is one."""
        if self.validation is None:
            return None
        validation = self.validation

        def measure(model: nn.Module) -> dict[str, float]:
            return measures(self.predict(model, validation))

        return measure

    def predict(self, model: nn.Module, split: ImageSplit) -> Predictions:
        """What `model` says of labeled images, with this run's preprocessing."""
        return Predictor(model, self.card, device=str(self.device)).predict_split(split)


def measures(predictions: Predictions) -> dict[str, float]:
    """What the loop is told of predictions for the validation part."""
    with np.errstate(invalid="ignore"):  # the loop says it if the weights are no numbers
        probs = predictions.probs[np.arange(len(predictions)), predictions.labels]
    return {
        "validation/loss": float(-np.log(np.maximum(probs, 1e-12)).mean()),
        "validation/accuracy": float(predictions.correct.mean()),
    }


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    device: torch.device,
    *,
    resumed: ModelCard | None = None,
    progress: bool = False,
) -> Prepared:
    """Draw the validation part and the weights, and put the training part on the device.

    Args:
        recipe: of the run.
        dataset: what it names.
        device: of the training.
        resumed: of a training that goes on: then its own checkpoint has the weights, and what they
            once started from may be gone.
        progress: show bars on standard error while a method makes ready.

    Raises:
        ConfigError: the network does not fit the images, a size that they grow from, the batch, or
            the weights to start from.
        DataError: the data cannot be split as the recipe says, or no image counts.
        RunError: `train.init` is no finished run.
    """
    if isinstance(recipe.model, EnsembleConfig):
        raise ConfigError(
            "an ensemble is made of runs and not trained itself",
            fix="Train its members, then `atelier ensemble RUN RUN`",
        )
    share = recipe.train.validation_share
    chosen, validation = validation_of(dataset, size=share, seed=recipe.split_seed)
    chosen, validation = _without_held_out(recipe.train, dataset, chosen, validation)
    mean, std = normalization_of(dataset.train.images, chosen)
    everything, few = chosen, None
    if recipe.train.labels:
        few = draw_labeled(
            dataset.train,
            chosen,
            recipe.train.labels,
            seed=recipe.seed,
            classes=dataset.classes,
        )
        chosen = few.labeled
    learned, noise = _with_wrong_labels(recipe, dataset.train, chosen)
    image_shape = (dataset.channels, *dataset.image_size)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model, image_shape, len(dataset.classes))
    growth = _growth(recipe.train, model, image_shape)
    start = None if resumed else start_of(recipe, model, image_shape, dataset.classes)
    if resumed:
        mean, std = resumed.mean, resumed.std
    elif start is not None:
        mean, std = start.normalization
    model.to(device).to(memory_format=torch.channels_last)
    card = ModelCard(
        model=recipe.model,
        classes=dataset.classes,
        image_shape=image_shape,
        mean=mean,
        std=std,
        background=background_of(dataset.train.images[chosen[:1000]]),
        mirror_average=recipe.mirror_average,
        shift_average=recipe.shift_average,
    )
    normalize = Normalizer(mean, std, device)
    fill = normalize.byte(card.background).flatten()
    augment = Augmenter(
        recipe.augment, fill, len(chosen), recipe.seed, device, mean=mean, std=std, growth=growth
    )
    mixing = None
    if recipe.augment.mixes:
        mixing = Mixing(recipe.augment, recipe.train.num_epochs)
    pruning = None
    if recipe.train.prune:
        # The last eighth of the epochs sees all images, as in the paper.
        last_epoch = recipe.train.num_epochs * 7 // 8
        pruning = Pruning(recipe.train.prune, last_epoch, len(chosen), device)
    batches = TrainingBatches(
        learned,
        chosen,
        recipe.train.batch_size,
        normalize,
        augment,
        device,
        pruning,
        mixing=mixing,
        balanced=recipe.train.sampling == "balanced",
        weights=_image_weights(dataset, chosen),
    )
    if recipe.train.init is None:
        # Patches need no labels: of all images, as the normalization is.
        fit_whitening(model, batches.without_labels(everything, 1, augment).some)
    if batches.batch_size == 1 and any(isinstance(m, nn.BatchNorm1d) for m in model.modules()):
        raise ConfigError(
            "batch normalization needs two images or more in a batch",
            got=1,
            fix="Set train.batch_size=2 or model.batch_norm=false",
        )
    return Prepared(model, batches, validation, card, device, start, noise, few, progress)


def _without_held_out(
    config: TrainConfig,
    dataset: Dataset,
    chosen: npt.NDArray[np.int64],
    validation: ImageSplit | None,
) -> tuple[npt.NDArray[np.int64], ImageSplit | None]:
    """What there is to learn and to choose by, but for the classes that are held out."""
    if not config.held_out:
        return chosen, validation
    held_out = class_numbers(config.held_out, dataset.classes)
    chosen = chosen[~np.isin(dataset.train.labels[chosen], held_out)]
    if len(np.unique(dataset.train.labels[chosen])) < 2:
        raise ConfigError(
            "training needs two classes that are not held out",
            got=list(config.held_out),
            fix="Hold out fewer with train.held_out",
        )
    if validation is not None:
        validation = validation.take(~np.isin(validation.labels, held_out))
    return chosen, validation


def _with_wrong_labels(
    recipe: Recipe, split: ImageSplit, chosen: npt.NDArray[np.int64]
) -> tuple[ImageSplit, LabelNoise | None]:
    """The images with the labels to learn from, and which of those chosen are wrong."""
    config = recipe.train
    if not config.label_noise:
        return split, None
    noise = wrong_labels(
        split.labels[chosen],
        split.ids[chosen],
        rate=config.label_noise,
        kind=config.noise_kind,
        seed=recipe.seed,
    )
    labels = split.labels.copy()
    labels[chosen] = noise.labels
    return replace(split, labels=labels), noise


def _growth(config: TrainConfig, model: Classifier, image_shape: ImageShape) -> Growth | None:
    """How the images of the training grow, once `model` has taken each of their sizes."""
    if not config.start_size:
        return None
    channels, height, width = image_shape
    if config.start_size > max(height, width):
        raise ConfigError(
            "train.start_size is larger than the images",
            got=config.start_size,
            allowed=f"up to {max(height, width)}",
            fix="Set train.start_size=0 to train at the full size",
        )
    growth = Growth(config.start_size, config.grow_until, config.num_epochs, (height, width))
    sizes = sorted({growth.size(epoch) for epoch in range(1, config.num_epochs + 1)})
    taken = [size for size in sizes if _takes(model, (channels, *size))]
    if taken == sizes:
        return growth
    larger = max(taken[0]) if taken and taken[0] != (height, width) else None
    raise ConfigError(
        f"the network cannot be trained on images that grow from {sizes[0][0]} x {sizes[0][1]} "
        f"to {height} x {width} pixels, "
        + ("for they are too small for it" if larger else "for it takes one size alone"),
        fix="Set train.start_size=0"
        + (f" or at least {larger}" if larger else ", or train resnet or speednet"),
    )


@torch.no_grad()
def _takes(model: Classifier, image_shape: ImageShape) -> bool:
    was_training = model.training
    try:
        model.eval()(torch.zeros(1, *image_shape))
    except (RuntimeError, ValueError, AssertionError):  # whatever a network says of a wrong size
        return False
    finally:
        model.train(was_training)
    return True


def _image_weights(
    dataset: Dataset, chosen: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32] | None:
    """What each chosen image counts, 1 on average, so that the learning rate means the same."""
    if dataset.photos is None or dataset.photos.weights is None:
        return None
    weights = dataset.photos.weights[dataset.train.ids[chosen]]
    mean = float(weights.mean())
    if not mean > 0:
        raise DataError(
            f"the training images of {dataset.name} all have the weight 0",
            fix="Give those to learn from a weight above 0",
        )
    return (weights / mean).astype(np.float32)


def background_of(images: npt.NDArray[np.uint8]) -> int:
    """The median byte along the edges of (at most 1,000 of) the images."""
    some = images[:1000]
    edges = (some[:, :, 0], some[:, :, -1], some[:, :, :, 0], some[:, :, :, -1])
    return int(np.median(np.concatenate([edge.ravel() for edge in edges])))
