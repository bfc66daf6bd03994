"""What explanations are worth: whether they hang on what the network has learned, and whether the
pixels that they name are those that the answer hangs on.

Cascading randomization: Adebayo et al. 2018, arXiv:1810.03292. Deletion and insertion: Petsiuk et
al. 2018 (RISE), arXiv:1806.07421. Structural similarity: Wang et al. 2004, IEEE TIP 13(4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import RunError
from ..evaluation import holm, seed_interval
from ..evaluation.tables import p_value, text_table
from ..runs import Run, read_json
from ..storage import write_json

_FILE = "explanation-checks.json"
_VERSION = 1

Maps = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Randomization:
    """How alike a method's maps stay while the network loses what it has learned, from its head
    down.

    Attributes:
        method: its name.
        levels: what has been randomized besides all before it; the last is the whole network.
        correlation: at each level, Spearman's rank correlation of the maps' values, the mean over
            the images.
        similarity: at each level, the structural similarity of the maps, likewise.
    """

    method: str
    levels: tuple[str, ...]
    correlation: tuple[float, ...]
    similarity: tuple[float, ...]


@dataclass(frozen=True)
class Faithfulness:
    """The area under the curve of the class's probability while pixels go or come by a map's order,
    beside that of random orders of the same images.

    Attributes:
        method: its name.
        curve: ``deletion``, where less is better, or ``insertion``, where more is.
        area: the mean over the images, 0 to 1.
        scattered: of pixels in random order.
        rolled: of the map itself, rolled to a random place of the image: as grainy, but elsewhere.
        gain: by how much it is better than the better of the two, the mean over the images.
        interval: of `gain`, 95 %, by Student's t.
        p: Wilcoxon's paired signed-rank test of `gain`, two-sided, corrected for the number of
            methods and curves (Holm).
    """

    method: str
    curve: str
    area: float
    scattered: float
    rolled: float
    gain: float
    interval: tuple[float, float]
    p: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``no difference seen``."""
        if self.p >= 0.05:
            return "no difference seen"
        return "better" if self.gain > 0 else "worse"


@dataclass(frozen=True)
class Checks:
    """What the maps of a run's methods are worth.

    Attributes:
        images: behind `faithfulness`.
        randomized_images: behind `randomization`.
        seed: that drew the images, the random weights and the random orders.
        part: of the data that the images are from.
        randomization: one for each method.
        faithfulness: two for each method that a class has a part in.
    """

    images: int
    randomized_images: int
    seed: int
    part: str
    randomization: tuple[Randomization, ...]
    faithfulness: tuple[Faithfulness, ...]

    def __str__(self) -> str:
        levels = self.randomization[0].levels
        lost = text_table(
            ["randomized down to", *(found.method for found in self.randomization)],
            [
                [
                    level,
                    *(
                        f"{found.correlation[k]:+.2f} / {found.similarity[k]:.2f}"
                        for found in self.randomization
                    ),
                ]
                for k, level in enumerate(levels)
            ],
        )
        kept = text_table(
            ["method", "curve", "area", "rolled", "scattered", "gain", "95 %", "", ""],
            [
                [
                    found.method,
                    found.curve,
                    f"{found.area:.3f}",
                    f"{found.rolled:.3f}",
                    f"{found.scattered:.3f}",
                    f"{found.gain:+.3f}",
                    f"{found.interval[0]:+.3f} to {found.interval[1]:+.3f}",
                    p_value(found.p),
                    found.verdict,
                ]
                for found in self.faithfulness
            ],
        )
        return (
            "Do the maps hang on the weights? Rank correlation / structural similarity with the "
            f"trained network's maps, {self.randomized_images} {self.part} images:\n{lost}\n\n"
            "Does the answer hang on the pixels that they name? Area under the probability, "
            f"{self.images} {self.part} images (deletion: less is better; gain: over the better of "
            f"two kinds of random maps):\n{kept}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def save(self, run: Run) -> None:
        """Keep it in the run's folder.

        Raises:
            StorageError: no space or no permission.
        """
        write_json(run.path / _FILE, {"format_version": _VERSION, **self.to_dict()})

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> Self:
        """What `to_dict` gave."""
        randomization = tuple(
            Randomization(
                found["method"],
                tuple(found["levels"]),
                tuple(found["correlation"]),
                tuple(found["similarity"]),
            )
            for found in value["randomization"]
        )
        faithfulness = tuple(
            Faithfulness(**{**found, "interval": tuple(found["interval"])})
            for found in value["faithfulness"]
        )
        return cls(**{**value, "randomization": randomization, "faithfulness": faithfulness})


def load_checks(run: Run) -> Checks | None:
    """What `atelier explain --check` has kept of a run; None where it was not asked yet.

    Raises:
        RunError: it is damaged, or of another version.
    """
    path = run.path / _FILE
    if not path.is_file():
        return None
    value = read_json(path)
    try:
        if value.pop("format_version", None) != _VERSION:
            raise ValueError("another version")
        return Checks.of_dict(value)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} is damaged or of another version",
            fix=f"Make it anew with `atelier explain {run.path} --check`",
        ) from error


def rank_correlation(a: Maps, b: Maps) -> float:
    """Spearman's, of two maps' values; 0 where one of them is the same everywhere."""
    from scipy.stats import rankdata

    x, y = (np.asarray(rankdata(found.ravel()), np.float64) for found in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size else 0.0


def structural_similarity(a: Maps, b: Maps) -> float:
    """Of two (H, W) maps, each scaled by its largest size to -1..1 (Wang et al. 2004, with a window
    of 7 pixels): 1 where they are the same, about 0 where they have nothing to do with each other.
    """
    from scipy.ndimage import uniform_filter

    x, y = (found / max(float(np.abs(found).max()), 1e-12) for found in (a, b))
    size = min(7, *x.shape)
    reach = 2.0 if min(x.min(), y.min()) < 0 else 1.0
    small_mean, small_variance = (0.01 * reach) ** 2, (0.03 * reach) ** 2

    def mean(values: Maps) -> Maps:
        found: Maps = uniform_filter(values.astype(np.float64), size)
        return found

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    similar = (2 * mean_x * mean_y + small_mean) * (2 * covariance + small_variance)
    return float(
        (similar / ((mean_x**2 + mean_y**2 + small_mean) * (variances + small_variance))).mean()
    )


def compared(before: Maps, after: Maps) -> tuple[float, float]:
    """Mean rank correlation and structural similarity of (N, H, W) maps and what became of them."""
    pairs = list(zip(before, after, strict=True))
    return (
        float(np.mean([rank_correlation(a, b) for a, b in pairs])),
        float(np.mean([structural_similarity(a, b) for a, b in pairs])),
    )


def curve_areas(
    images: npt.NDArray[np.uint8],
    start: npt.NDArray[np.uint8],
    maps: Maps,
    probability: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float64]],
    *,
    steps: int = 20,
) -> npt.NDArray[np.float64]:
    """(N,) areas under each image's probability while its pixels are exchanged, the highest of its
    map first.

    Args:
        images: (N, C, H, W) what is put in: the images for insertion, nothing for deletion.
        start: (N, C, H, W) what stands there before.
        maps: (N, H, W).
        probability: (N, C, H, W) bytes to the (N,) probabilities of the classes in question.
        steps: of equal numbers of pixels.
    """
    count, _, height, width = images.shape
    order = np.argsort(-maps.reshape(count, -1), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(height * width)[None], axis=1)
    rank = rank.reshape(count, 1, height, width)
    heights = [
        probability(np.where(rank < exchanged, images, start))
        for exchanged in np.linspace(0, height * width, steps + 1).round()
    ]
    area: npt.NDArray[np.float64] = np.trapezoid(np.stack(heights), dx=1 / steps, axis=0)
    return area


def rolled(maps: Maps, rng: np.random.Generator) -> Maps:
    """(N, H, W) maps, each rolled to a random place of its image."""
    height, width = maps.shape[1:]
    return np.stack(
        [np.roll(m, (rng.integers(height), rng.integers(width)), axis=(0, 1)) for m in maps]
    )


@dataclass(frozen=True, eq=False)
class Areas:
    """What one curve gave for N images by one method: (N,) each, as of `Faithfulness`."""

    method: str
    curve: str
    area: npt.NDArray[np.float64]
    scattered: npt.NDArray[np.float64]
    rolled: npt.NDArray[np.float64]

    @property
    def gains(self) -> npt.NDArray[np.float64]:
        """(N,) by how much the map is better than that kind of random map which is better in the
        mean over the images."""
        sign = -1 if self.curve == "deletion" else 1
        rival = max((self.scattered, self.rolled), key=lambda kind: float((sign * kind).mean()))
        return np.asarray(sign * (self.area - rival))


def judged(areas: Sequence[Areas]) -> tuple[Faithfulness, ...]:
    """The means, intervals and tests of all methods and curves, which are one family of tests."""
    from scipy.stats import wilcoxon

    gains = [found.gains for found in areas]
    raw = [float(wilcoxon(gain).pvalue) if gain.any() else 1.0 for gain in gains]
    result = []
    for found, gain, p in zip(areas, gains, holm(raw), strict=True):
        mean, low, high = seed_interval(gain.tolist())
        result.append(
            Faithfulness(
                found.method,
                found.curve,
                float(found.area.mean()),
                float(found.scattered.mean()),
                float(found.rolled.mean()),
                mean,
                (low, high),
                p,
            )
        )
    return tuple(result)
