"""Classical models: scikit-learn fits them, and their numbers go into torch modules."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..config import ClassicalConfig, Recipe
from ..data import ImageSplit
from ..data.batches import Normalizer
from ..errors import DataError, RunError
from ..models import Classifier
from ..models.classical import Nystroem
from ..progress import Bar, progress_bar
from .checkpoints import TrainingState, copy_weights
from .learner import class_weights_of
from .preparation import Prepared, measures
from .tree_tensors import hold_boosting, hold_forest

Floats = npt.NDArray[np.float32]
Predict = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.int64]]
"""What scikit-learn's own estimator says of (N, C, H, W) bytes: (N,) classes."""

_BATCH_SIZE = 512
_COMPARED = 256  # images
_LEAST_AGREEMENT = 0.99
_MEASURED = 2000  # training images, for the history
_ABSENT = -100.0  # the logit of a class that no training image has


@dataclass(frozen=True)
class Examples:
    """What there is to learn from.

    Attributes:
        images: (N, C, H, W) uint8.
        labels: (N,) int64.
        weights: (N,) float64 of mean 1; None where all count the same.
        normalize: what the network's images have behind them.
        device: of the network.
        seed: of the run.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64] | None
    normalize: Normalizer
    device: torch.device
    seed: int

    def mirrored(self) -> Examples:
        """The same with each image's mirror image behind them."""
        twice = np.concatenate([self.images, self.images[..., ::-1]])
        weights = None if self.weights is None else np.tile(self.weights, 2)
        return Examples(
            twice, np.tile(self.labels, 2), weights, self.normalize, self.device, self.seed
        )

    @torch.no_grad()
    def through(self, module: nn.Module, images: npt.NDArray[np.uint8] | None = None) -> Floats:
        """(N, D): what `module` makes of the normalized images, or of others."""
        images = self.images if images is None else images
        module.eval()
        rows: Floats | None = None
        for start in range(0, len(images), _BATCH_SIZE):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH_SIZE]))
            found = module(self.normalize(batch.to(self.device))).float().cpu().numpy()
            if rows is None:
                rows = np.empty((len(images), found.shape[1]), np.float32)
            rows[start : start + len(found)] = found
        assert rows is not None
        return rows


def fit_classical(
    prepared: Prepared, recipe: Recipe, *, title: str, progress: bool
) -> TrainingState:
    """Fit the network of a recipe whose model is classical.

    Args:
        prepared: its network gets what is found.
        recipe: of the run.
        title: of the bar.
        progress: show a bar on standard error.

    Returns:
        The state of a training of one epoch.

    Raises:
        DataError: the training images are of one class.
        RunError: the network does not answer as scikit-learn's estimator does.
    """
    started = time.perf_counter()
    examples = _examples(prepared, recipe)
    with progress_bar(title, 1, show=progress) as bar:
        predict = _FITS[recipe.model.name](prepared.model, examples, recipe.model, bar)
        bar.update(1, "fitted")
    _refuse_difference(prepared, examples, predict)
    seconds = time.perf_counter() - started
    row: dict[str, Any] = {"epoch": 1, **_of_training(prepared, examples)}
    measured = time.perf_counter()
    if prepared.validate is not None:
        row |= prepared.validate(prepared.model)
    row["seconds"] = seconds
    row["validation_seconds"] = time.perf_counter() - measured
    row["images_per_second"] = len(examples.labels) / seconds
    weights = copy_weights(prepared.model)
    return TrainingState(
        model=weights,
        optimizer={"state": {}, "param_groups": []},
        best=weights,
        history=[row],
        seconds=time.perf_counter() - started,
    )


def _examples(prepared: Prepared, recipe: Recipe) -> Examples:
    batches = prepared.batches
    labels = batches.labels.cpu().numpy()
    if len(np.unique(labels)) < 2:
        raise DataError(
            "scikit-learn needs training images of two classes or more",
            got=f"{len(labels)} images of one class",
        )
    counts = class_weights_of(prepared, recipe)
    weights: Tensor | None = batches.weights
    if counts is not None:
        of_classes = counts.to(batches.labels.device)[batches.labels]
        weights = of_classes if weights is None else weights * of_classes
    return Examples(
        batches.images[batches.chosen].cpu().numpy(),
        labels,
        None if weights is None else weights.cpu().numpy().astype(np.float64),
        batches.normalize,
        prepared.device,
        recipe.seed,
    )


def _of_training(prepared: Prepared, examples: Examples) -> dict[str, float]:
    """Loss and accuracy on some of the training images."""
    step = max(1, len(examples.labels) // _MEASURED)
    split = ImageSplit(
        examples.images[::step], examples.labels[::step], np.arange(len(examples.labels))[::step]
    )
    found = measures(prepared.predict(prepared.model, split))
    return {name.replace("validation", "train"): value for name, value in found.items()}


def _refuse_difference(prepared: Prepared, examples: Examples, predict: Predict) -> None:
    """Compare the network with the estimator that it is made of. Where two classes are a rounding
    apart, or two neighbors at one distance, either may be right."""
    held_out = prepared.validation
    images = examples.images if held_out is None else held_out.images
    some = np.array(images[:_COMPARED])
    ours = examples.through(prepared.model, some).argmax(axis=1)
    agreement = float((ours == predict(some)).mean())
    if agreement < _LEAST_AGREEMENT:
        raise RunError(
            "the fitted network does not answer as scikit-learn's estimator does",
            got=f"{agreement:.1%} of {len(some)} images alike",
            allowed=f"{_LEAST_AGREEMENT:.0%} or more",
            fix="This version of scikit-learn may be too new: use the pinned one",
        )


def _fit_logistic(model: Classifier, examples: Examples, config: Any, bar: Bar) -> Predict:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    pixels = examples.through(model.features)
    step = 20
    # Goes on where it was, in steps, so that there is something to tell.
    estimator = LogisticRegression(C=config.inverse_penalty, max_iter=step, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for done in range(0, config.max_iterations, step):
            estimator.max_iter = min(step, config.max_iterations - done)
            estimator.fit(pixels, examples.labels, sample_weight=examples.weights)
            bar.update((done + step) / config.max_iterations, f"{done + step} iterations")
            if int(estimator.n_iter_.max()) < estimator.max_iter:
                break
    _hold_linear(model.head, estimator.classes_, estimator.coef_, estimator.intercept_)
    return lambda images: estimator.predict(examples.through(model.features, images))


def _hold_linear(
    head: nn.Linear, classes: npt.NDArray[np.int64], weight: Any, bias: Any, *, sided: bool = False
) -> None:
    """Put what an estimator knows of its classes into `head`.

    Args:
        head: to (N, K).
        classes: the labels that the estimator has seen.
        weight: (classes, D), or (1, D) or (D,) for the second one of two.
        bias: (classes,), or (1,).
        sided: of two classes, whether the first one's value is the second one's with the sign
            turned, and not 0.
    """
    weight, bias = np.atleast_2d(weight), np.atleast_1d(bias)
    if len(classes) == 2 and len(weight) == 1:
        first = -1.0 if sided else 0.0
        weight, bias = (np.concatenate([first * part, part]) for part in (weight, bias))
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(_ABSENT)
        head.weight[classes] = torch.from_numpy(weight).to(head.weight)
        head.bias[classes] = torch.from_numpy(bias).to(head.bias)


def _fit_hog_svm(model: Classifier, examples: Examples, config: Any, bar: Bar) -> Predict:
    """A least-squares support vector machine (Suykens & Vandewalle 1999, "Least squares support
    vector machine classifiers") for each class: its squared loss has a solution in closed form."""
    from sklearn.kernel_approximation import Nystroem as KernelApproximation
    from sklearn.linear_model import RidgeClassifier

    if config.mirrored:
        examples = examples.mirrored()
    hog, *kernel = cast(nn.Sequential, model.features)
    inputs = examples.through(hog)
    approximation = None
    if kernel:
        bar.update(0.2, "kernel")
        approximation = KernelApproximation(
            gamma=config.gamma,
            n_components=min(config.components, len(inputs)),
            random_state=examples.seed,
        ).fit(inputs)
        cast(Nystroem, kernel[0]).approximate_by(
            torch.from_numpy(approximation.components_),
            torch.from_numpy(approximation.normalization_),
        )
        inputs = examples.through(model.features)
    bar.update(0.7, "machines")
    estimator = RidgeClassifier(alpha=config.penalty, solver="cholesky", copy_X=False)
    estimator.fit(inputs, examples.labels, sample_weight=examples.weights)
    _hold_linear(model.head, estimator.classes_, estimator.coef_, estimator.intercept_, sided=True)

    def predict(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        found = examples.through(hog, images)
        if approximation is not None:
            found = approximation.transform(found)
        labels: npt.NDArray[np.int64] = estimator.predict(found)
        return labels

    return predict


def _fit_random_forest(model: Classifier, examples: Examples, config: Any, bar: Bar) -> Predict:
    from sklearn.ensemble import RandomForestClassifier

    pixels = _flat(examples.images)
    estimator = RandomForestClassifier(
        min_samples_leaf=config.least_in_leaf,
        max_depth=config.max_depth or None,
        random_state=examples.seed,
        n_jobs=torch.get_num_threads(),
        warm_start=True,
    )
    step = max(1, config.trees // 20)
    for done in range(0, config.trees, step):
        estimator.n_estimators = min(config.trees, done + step)
        estimator.fit(pixels, examples.labels, sample_weight=examples.weights)
        trees = estimator.n_estimators
        bar.update(trees / config.trees, f"{trees} trees")
    hold_forest(model.features, estimator, examples.normalize)
    return lambda images: estimator.predict(_flat(images))


def _fit_hist_gradient_boosting(
    model: Classifier, examples: Examples, config: Any, bar: Bar
) -> Predict:
    from sklearn.ensemble import HistGradientBoostingClassifier

    pixels = _flat(examples.images)
    estimator = HistGradientBoostingClassifier(
        learning_rate=config.learning_rate,
        max_leaf_nodes=config.leaves,
        min_samples_leaf=config.least_in_leaf,
        max_features=config.feature_share,
        l2_regularization=config.penalty,
        early_stopping=False,
        random_state=examples.seed,
        warm_start=True,
    )
    # Few steps, for each puts all pixels into bins anew.
    step = max(1, -(-config.iterations // 10))
    for done in range(0, config.iterations, step):
        estimator.max_iter = min(config.iterations, done + step)
        estimator.fit(pixels, examples.labels, sample_weight=examples.weights)
        bar.update(estimator.max_iter / config.iterations, f"{estimator.max_iter} iterations")
    hold_boosting(model.features, estimator, examples.normalize)
    return lambda images: estimator.predict(_flat(images))


def _fit_k_nearest_neighbors(
    model: Classifier, examples: Examples, config: Any, bar: Bar
) -> Predict:
    from sklearn.neighbors import KNeighborsClassifier

    if config.mirrored:
        examples = examples.mirrored()
    neighbors: Any = model.features
    neighbors.pixels.hold(examples.normalize.mean, examples.normalize.scale)
    flat = examples.images.reshape(len(examples.images), -1)
    neighbors.hold_bytes(
        torch.from_numpy(flat),
        torch.from_numpy(examples.labels),
        None if examples.weights is None else torch.from_numpy(examples.weights),
    )
    bar.update(0.5, "compared with scikit-learn")
    estimator = KNeighborsClassifier(
        min(config.neighbors, len(flat)), weights=config.weights, algorithm="brute"
    ).fit(_flat(examples.images), examples.labels)
    if examples.weights is not None:  # scikit-learn has none here
        return lambda images: examples.through(model, images).argmax(axis=1)
    return lambda images: estimator.predict(_flat(images))


def _flat(images: npt.NDArray[np.uint8]) -> Floats:
    return images.reshape(len(images), -1).astype(np.float32)


_Fit = Callable[[Classifier, Examples, Any, Bar], Predict]
_FITS: dict[str, _Fit] = {
    "logistic": _fit_logistic,
    "hog-svm": _fit_hog_svm,
    "random-forest": _fit_random_forest,
    "hist-gradient-boosting": _fit_hist_gradient_boosting,
    "k-nearest-neighbors": _fit_k_nearest_neighbors,
}


def is_classical(recipe: Recipe) -> bool:
    """Whether scikit-learn fits the recipe's model."""
    return isinstance(recipe.model, ClassicalConfig)
