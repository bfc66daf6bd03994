"""Sets of classes that hold the true one as often as promised, whatever the model (split conformal
prediction, Vovk et al. 2005; Papadopoulos et al. 2002).

Each validation image has a score, the lower the better its true class fits. The finite-sample
quantile of these scores, the ceil((n + 1) * level)-th smallest, is the threshold: of a new image
like them, all classes of no larger score are the set. Then the true class is in it with a
probability of at least `level`, on average over images, and over what the validation images are.
Three scores of (K,) probabilities p, the classes ranked from the likeliest:

- ``lac``: 1 - p of the class (Sadinle et al. 2019, arXiv 1609.00451): the smallest sets on average.
- ``aps``: the sum of p over all likelier classes (Romano et al. 2020, arXiv 2006.02544): larger
  sets where the model is unsure, and never an empty one.
- ``raps``: the same and 0.1 for each rank beyond the first (Angelopoulos et al. 2021, arXiv
  2009.14193, whose penalty and rank are chosen on data of their own; fixed ones need none).

No score has a random part, as theirs have: the same image always has the same set. With the class's
own p in the sum, as theirs is, the surest images would then have empty sets. ``lac by class`` takes
the quantile of each class's own images (Vovk 2012, arXiv 1209.2673): the promise then holds for
each class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ConfigError, RunError
from ..predictions import Predictions
from .calibration import calibration_of, folds

if TYPE_CHECKING:
    from ..runs import Run

Method = Literal["lac", "aps", "raps", "lac by class"]
METHODS: tuple[Method, ...] = ("lac", "aps", "raps", "lac by class")
MOST_SHOWN = 4  # classes in a set; larger ones are counted together
_PENALTY = 0.1
_ROUNDING = 1e-12

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ConformalRule:
    """Which classes are possible, by their scores.

    Attributes:
        method: of the scores.
        level: the promised share of sets that hold the true class, in 0..1.
        thresholds: the largest score that is possible, for each of the K classes; None where there
            are too few validation images to exclude anything.
        images: the validation images that the thresholds come from.
    """

    method: Method
    level: float
    thresholds: tuple[float | None, ...]
    images: int

    def sets(self, probs: npt.NDArray[np.floating[Any]]) -> Flags:
        """(N, K) calibrated probabilities to (N, K) flags of the possible classes.

        A set may be empty: then no class is as likely as that of most images like it.
        """
        limits = np.array([math.inf if t is None else t for t in self.thresholds])
        possible: Flags = _scores(np.asarray(probs, np.float64), self.method) <= limits + _ROUNDING
        return possible


def fit_conformal(
    probs: Floats, labels: npt.NDArray[np.int64], level: float, method: Method = "lac"
) -> ConformalRule:
    """The rule of validation images.

    Args:
        probs: (N, K) calibrated, N at least 1.
        labels: (N,) true classes.
        level: the promised share of sets that hold the true class.
        method: of the scores.

    Raises:
        ConfigError: `level` is out of range.
    """
    if not 0 < level < 1:
        raise ConfigError(
            "the share of sets that hold the true class is out of range",
            got=level,
            allowed="between 0 and 1, such as 0.95",
        )
    n, num_classes = probs.shape
    own = _scores(probs, method)[np.arange(n), labels]
    if method == "lac by class":
        thresholds = tuple(_quantile(own[labels == k], level) for k in range(num_classes))
    else:
        thresholds = (_quantile(own, level),) * num_classes
    return ConformalRule(method, level, thresholds, n)


def conformal_of(run: Run, level: float, method: Method = "lac") -> ConformalRule:
    """The rule of a run's validation images, for its calibrated probabilities.

    The temperature, one number, is fitted on the same images; the promise does not count that.

    Raises:
        ConfigError: `level` is out of range.
        RunError: no images were held out in the training.
    """
    if not run.metrics.get("validation_images"):
        raise RunError(
            f"{run.path} held out no validation images, and without them no set can promise to "
            "hold the true class",
            fix="Train with --set train.validation_share=0.1",
        )
    predictions = run.predictions("validation")
    calibration = calibration_of(run)
    used = predictions if calibration is None else calibration.apply(predictions)
    return fit_conformal(used.probs, used.labels, level, method)


def cross_conformal(predictions: Predictions, level: float, method: Method) -> Flags:
    """(N, K) sets of the validation images themselves, each fifth by the rule of the others.

    Args:
        predictions: calibrated, at least two.
        level: the promised share.
        method: of the scores.
    """
    probs, fold = predictions.probs, folds(len(predictions))
    sets = np.zeros(probs.shape, bool)
    for k in range(fold.max() + 1):
        rule = fit_conformal(probs[fold != k], predictions.labels[fold != k], level, method)
        sets[fold == k] = rule.sets(probs[fold == k])
    return sets


@dataclass(frozen=True)
class ClassSets:
    """The sets of the images of one class.

    Attributes:
        name: of the class.
        images: their number.
        covered: those whose set holds the class.
        low, high: the ends of the 95 % Wilson interval of the share; 0 to 1 without an image.
        mean_size: the mean number of classes in a set; 0 without an image.
        sizes: how many sets have no class, 1, 2, 3, and 4 or more.
    """

    name: str
    images: int
    covered: int
    low: float
    high: float
    mean_size: float
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Coverage:
    """What the sets of a rule are worth on N judged images.

    Attributes:
        method: of the scores.
        level: the promised share.
        images: N.
        covered: how many sets hold the true class.
        low, high: the ends of the 95 % Wilson interval of the share.
        expected: between which shares 95 % of such measurements lie where the promise is kept:
            that of a beta-binomial distribution, for the validation images are a draw too.
        sizes: how many sets have 0, 1, ... K classes.
        per_class: in the order of the classes.
    """

    method: Method
    level: float
    images: int
    covered: int
    low: float
    high: float
    expected: tuple[float, float]
    sizes: tuple[int, ...]
    per_class: tuple[ClassSets, ...]

    @property
    def share(self) -> float:
        """The share of the sets that hold the true class."""
        return self.covered / self.images

    @property
    def mean_size(self) -> float:
        """The mean number of classes in a set."""
        return sum(size * count for size, count in enumerate(self.sizes)) / self.images

    @property
    def worst(self) -> ClassSets:
        """The class that is covered least."""
        present = [row for row in self.per_class if row.images]
        return min(present, key=lambda row: row.covered / row.images)


def coverage_of(
    sets: Flags,
    labels: npt.NDArray[np.int64],
    classes: tuple[str, ...],
    *,
    method: Method,
    level: float,
    fitted_on: int,
) -> Coverage:
    """Count what sets hold.

    Args:
        sets: (N, K) flags of the possible classes, N at least 1.
        labels: (N,) true classes.
        classes: K names.
        method: of the scores.
        level: the promised share.
        fitted_on: the number of validation images behind the rule.
    """
    from scipy.stats import betabinom

    from .significance import wilson_interval

    n, num_classes = sets.shape
    held, sizes = sets[np.arange(n), labels], sets.sum(axis=1)
    rank = min(fitted_on, math.ceil((fitted_on + 1) * level - _ROUNDING))
    spread = betabinom(n, rank, fitted_on + 1 - rank)
    rows = []
    for k, name in enumerate(classes):
        own = labels == k
        images, covered = int(own.sum()), int(held[own].sum())
        interval = wilson_interval(covered, images) if images else (0.0, 1.0)
        mean_size = float(sizes[own].mean()) if images else 0.0
        counts = np.bincount(np.minimum(sizes[own], MOST_SHOWN), minlength=MOST_SHOWN + 1)
        own_sizes = tuple(map(int, counts))
        rows.append(ClassSets(name, images, covered, *interval, mean_size, own_sizes))
    covered = int(held.sum())
    return Coverage(
        method,
        level,
        n,
        covered,
        *wilson_interval(covered, n),
        expected=(float(spread.ppf(0.025) / n), float(spread.ppf(0.975) / n)),
        sizes=tuple(map(int, np.bincount(sizes, minlength=num_classes + 1))),
        per_class=tuple(rows),
    )


def _quantile(scores: Floats, level: float) -> float | None:
    """The ceil((n + 1) * level)-th smallest score; None where there is none."""
    rank = math.ceil((len(scores) + 1) * level - _ROUNDING)
    return None if rank > len(scores) else float(np.sort(scores)[rank - 1])


def _scores(probs: Floats, method: Method) -> Floats:
    """(N, K), the lower the better a class fits."""
    if method in ("lac", "lac by class"):
        return 1 - probs
    order = np.argsort(-probs, axis=1, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=1)
    ranked = np.cumsum(ranked, axis=1) - ranked
    if method == "raps":
        ranked = ranked + _PENALTY * np.arange(probs.shape[1])
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, order, ranked, axis=1)
    return scores
