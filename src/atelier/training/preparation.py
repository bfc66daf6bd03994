"""All that a training needs, made before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..config import Recipe
from ..data import Dataset, ImageSplit, normalization_of, split_validation
from ..data.augment import Augmenter
from ..data.batches import Normalizer, TrainingBatches
from ..data.pruning import Pruning
from ..errors import ConfigError
from ..models import Classifier, build_model, fit_whitening
from ..predictions import Predictions
from ..predictor import Predictor
from ..runs import ModelCard
from .loop import Validate


@dataclass(frozen=True)
class Prepared:
    """A network, the batches that it learns from and the images that it is measured on.

    Attributes:
        model: on the device, its whitening convolutions fitted.
        batches: of the training part.
        validation: what was held out; None where nothing was.
        card: what predictions by the model need.
        device: of the training.
    """

    model: Classifier
    batches: TrainingBatches
    validation: ImageSplit | None
    card: ModelCard
    device: torch.device

    @property
    def validate(self) -> Validate | None:
        """Measures on the validation part, where there is one."""
        if self.validation is None:
            return None
        validation = self.validation

        def measure(model: nn.Module) -> dict[str, float]:
            predictions = self.predict(model, validation)
            with np.errstate(invalid="ignore"):  # the loop says it if the weights are no numbers
                probs = predictions.probs[np.arange(len(predictions)), predictions.labels]
            return {
                "validation/loss": float(-np.log(np.maximum(probs, 1e-12)).mean()),
                "validation/accuracy": float(predictions.correct.mean()),
            }

        return measure

    def predict(self, model: nn.Module, split: ImageSplit) -> Predictions:
        """What `model` says of labeled images, with this run's preprocessing."""
        return Predictor(model, self.card, device=str(self.device)).predict_split(split)


def prepare(recipe: Recipe, dataset: Dataset, device: torch.device) -> Prepared:
    """Draw the validation part and the weights, and put the training part on the device.

    Raises:
        ConfigError: the network does not fit the images or the batch.
        DataError: the data cannot be split as the recipe says.
    """
    chosen, validation = np.arange(len(dataset.train)), None
    if recipe.train.validation_share:
        chosen, held_out = split_validation(
            dataset.train.labels, size=recipe.train.validation_share, seed=recipe.seed
        )
        validation = dataset.train.take(held_out)
    mean, std = normalization_of(dataset.train.images, chosen)
    image_shape = (dataset.channels, *dataset.image_size)
    torch.manual_seed(recipe.seed)
    model = build_model(recipe.model, image_shape, len(dataset.classes)).to(device)
    model.to(memory_format=torch.channels_last)
    card = ModelCard(
        model=recipe.model,
        classes=dataset.classes,
        image_shape=image_shape,
        mean=mean,
        std=std,
        background=_background(dataset.train.images[chosen[:1000]]),
        mirror_average=recipe.mirror_average,
        shift_average=recipe.shift_average,
    )
    normalize = Normalizer(mean, std, device)
    fill = normalize.byte(card.background).flatten()
    augment = Augmenter(recipe.augment, fill, len(chosen), recipe.seed, device)
    pruning = None
    if recipe.train.prune:
        # The last eighth of the epochs sees all images, as in the paper.
        last_epoch = recipe.train.num_epochs * 7 // 8
        pruning = Pruning(recipe.train.prune, last_epoch, len(chosen), device)
    batches = TrainingBatches(
        dataset.train, chosen, recipe.train.batch_size, normalize, augment, device, pruning
    )
    fit_whitening(model, batches.some)
    if batches.batch_size == 1 and any(isinstance(m, nn.BatchNorm1d) for m in model.modules()):
        raise ConfigError(
            "batch normalization needs two images or more in a batch",
            got=1,
            fix="Set train.batch_size=2 or model.batch_norm=false",
        )
    return Prepared(model, batches, validation, card, device)


def _background(images: npt.NDArray[np.uint8]) -> int:
    """The median byte along the edges of (at most 1,000 of) the images."""
    some = images[:1000]
    edges = (some[:, :, 0], some[:, :, -1], some[:, :, :, 0], some[:, :, :, -1])
    return int(np.median(np.concatenate([edge.ravel() for edge in edges])))
