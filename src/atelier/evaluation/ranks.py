"""Many models over several blocks: ranks, and which of them are apart.

A block is a row on which every model has a score: a data set, a seed, a class. Within a block
models are ranked, so that a hard block counts as much as an easy one.

Sources: Friedman 1937, JASA 32; Iman & Davenport 1980, Communications in Statistics A 9(6) (its F
form); Nemenyi 1963 and Demsar 2006, JMLR 7 (critical difference and its diagram); Wilcoxon 1945,
Biometrics Bulletin 1(6), which Benavoli et al. 2016, JMLR 17(5), hold to be the better test of two,
for its answer does not hang on which other models there are.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .significance import holm

LEVEL = 0.05
_EXACT = 50  # blocks
_PERMUTED = 13  # blocks, whose signs are gone through: 8,192


@dataclass(frozen=True)
class BlockPair:
    """Wilcoxon's signed-rank test of two models over the blocks.

    `p` is two-sided, exact where there are no ties and few blocks; `p_holm` is corrected over all
    pairs.
    """

    a: str
    b: str
    p: float
    p_holm: float


@dataclass(frozen=True)
class Ranking:
    """M models ranked over N blocks.

    Attributes:
        blocks: what a block is, in one word of the plural: classes, seeds, data sets.
        score: what is ranked, such as accuracy.
        n: the number of blocks.
        names: of the models, best mean rank first.
        ranks: their mean ranks, 1 is best.
        p: that all are alike: Friedman's test in the F form of Iman & Davenport, for two models
            Wilcoxon's.
        critical_difference: mean ranks farther apart than this differ (Nemenyi, 5 %).
        groups: first and last position in `names` of models that are not apart, as Demsar draws
            them.
        pairs: Wilcoxon's test of each two.
    """

    blocks: str
    score: str
    n: int
    names: tuple[str, ...]
    ranks: tuple[float, ...]
    p: float
    critical_difference: float
    groups: tuple[tuple[int, int], ...]
    pairs: tuple[BlockPair, ...]

    @property
    def smallest_p(self) -> float:
        """The smallest p that Wilcoxon's exact test can give with so many blocks."""
        return float(2.0 ** (1 - self.n))


def rank_over_blocks(
    names: Sequence[str],
    scores: npt.ArrayLike,
    *,
    blocks: str = "data sets",
    score: str = "accuracy",
) -> Ranking:
    """Rank models over blocks and say which are apart.

    Args:
        names: of M models, at least 2.
        scores: (N, M), the larger the better; N at least 2.
        blocks: what a block is called, in the plural.
        score: what the scores are called.

    Raises:
        ValueError: fewer than two models or blocks, another shape, or a score that is no number.
    """
    from scipy.stats import rankdata

    table = np.asarray(scores, float)
    if table.ndim != 2 or table.shape[1] != len(names) or min(table.shape) < 2:
        raise ValueError(f"scores of shape {table.shape} for {len(names)} models")
    if not np.isfinite(table).all():
        raise ValueError("a score is no number")
    n, m = table.shape
    ranks = rankdata(-table, axis=1).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    distance = critical_difference(m, n)
    pairs = [
        BlockPair(names[a], names[b], p, p)
        for a, b in itertools.combinations(order.tolist(), 2)
        for p in (wilcoxon_p(table[:, a] - table[:, b]),)
    ]
    corrected = holm([pair.p for pair in pairs])
    return Ranking(
        blocks=blocks,
        score=score,
        n=n,
        names=tuple(names[k] for k in order),
        ranks=tuple(ranks[order].tolist()),
        p=pairs[0].p if m == 2 else friedman_p(table),
        critical_difference=distance,
        groups=_groups(ranks[order], distance),
        pairs=tuple(replace(pair, p_holm=p) for pair, p in zip(pairs, corrected, strict=True)),
    )


def friedman_p(scores: npt.ArrayLike) -> float:
    """The p-value that M models are alike over N blocks: Friedman's statistic, corrected for ties,
    in the F form of Iman & Davenport 1980.

    Args:
        scores: (N, M), N at least 2, M at least 3.
    """
    from scipy.stats import f, friedmanchisquare

    table = np.asarray(scores, float)
    n, m = table.shape
    if (table == table[:, :1]).all():
        return 1.0
    statistic = float(friedmanchisquare(*table.T).statistic)
    most = n * (m - 1)
    if statistic >= most - 1e-9:
        # All blocks rank alike, and F has no bound. The exact p: one order out of m! in each block.
        return float(math.factorial(m) ** (1.0 - n))
    value = (n - 1) * statistic / (most - statistic)
    return float(f.sf(value, m - 1, (m - 1) * (n - 1)))


def critical_difference(models: int, blocks: int) -> float:
    """By how much mean ranks must differ (Nemenyi, 5 %; Demsar 2006, section 3.2.2)."""
    return _nemenyi_q(models) * math.sqrt(models * (models + 1) / (6 * blocks))


@functools.cache
def _nemenyi_q(models: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - LEVEL, models, np.inf)) / math.sqrt(2)


def wilcoxon_p(differences: npt.ArrayLike) -> float:
    """Wilcoxon's two-sided signed-rank p that differences lie around zero; 1 if all are zero.

    Args:
        differences: (N,). A zero takes its rank from the others (Pratt 1959) and counts for neither
            sign.
    """
    from scipy.stats import wilcoxon

    # Accuracies are sums of 1/n: what differs by rounding alone is a tie.
    array = np.round(np.asarray(differences, float), 12)
    sizes = np.abs(array)
    if not array.any():
        return 1.0
    if sizes.all() and len(np.unique(sizes)) == len(sizes) <= _EXACT:
        return float(wilcoxon(array, method="exact").pvalue)
    # SciPy's exact distribution knows nothing of ties; over few blocks all signs are gone through.
    if len(array) <= _PERMUTED:
        return _permuted(array)
    return float(wilcoxon(array, zero_method="pratt", method="approx").pvalue)


def _permuted(differences: npt.NDArray[np.float64]) -> float:
    """The exact p over all signs, with midranks; zeros have none to change."""
    from scipy.stats import rankdata

    nonzero = differences[differences != 0]
    ranks = rankdata(np.abs(differences))[differences != 0]
    signs = np.array(list(itertools.product((-1, 1), repeat=len(nonzero))))
    sums = signs @ ranks
    seen = abs(float((np.sign(nonzero) * ranks).sum()))
    return float((np.abs(sums) >= seen - 1e-9).mean())


def _groups(ranks: npt.NDArray[np.float64], distance: float) -> tuple[tuple[int, int], ...]:
    """The longest stretches of sorted ranks that lie within `distance`; none of one model."""
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + distance, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return tuple(found)
