"""How many images or seeds it takes to tell a difference, and which one these images can tell.

Sources: Miettinen 1968, Biometrics 24(2), and Connor 1987, Biometrics 43(1) (images for McNemar's
test); Cohen 1988, Statistical Power Analysis (the noncentral t for paired differences over seeds).
"""

from __future__ import annotations

import math

import numpy as np

LEVEL, POWER = 0.05, 0.8
_MOST_SEEDS = 10_000
_REACH = 8  # standard deviations, beyond which a binomial count is left out


def images_needed(
    difference: float, discordant: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """How many images McNemar's test needs to find a difference in accuracy (Connor 1987).

    Args:
        difference: accuracy a - accuracy b, in -1..1, as it would be on endless images.
        discordant: the share of images that exactly one of the two gets right.
        level: of the test, two-sided; divide it by the number of pairs that share it.
        power: the probability of finding the difference.

    Returns:
        The number; None for no difference, which no number can show.

    Raises:
        ValueError: a difference that is larger than the share of discordant images.
    """
    from scipy.stats import norm

    difference = abs(difference)
    if not 0 <= discordant <= 1 or difference > discordant + 1e-12:
        raise ValueError(f"a difference of {difference} with {discordant} discordant")
    if difference == 0:
        return None
    alarm, found = norm.isf(level / 2), norm.ppf(power)
    spread = max(0.0, discordant - difference**2)
    root = alarm * math.sqrt(discordant) + found * math.sqrt(spread)
    return math.ceil((root / difference) ** 2)


def detectable_difference(
    n: int, discordant: float, *, level: float = LEVEL, power: float = POWER
) -> float | None:
    """The smallest difference in accuracy that n images show with this power, at a given share of
    discordant ones; None where even the largest possible one stays hidden.

    Args:
        n: the number of images.
        discordant: the share of images that exactly one of the two gets right.
        level: of the test, two-sided.
        power: the probability of finding the difference.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    alarm, found = norm.isf(level / 2), norm.ppf(power)

    def excess(difference: float) -> float:
        spread = math.sqrt(max(0.0, discordant - difference**2))
        return float(difference * math.sqrt(n) - alarm * math.sqrt(discordant) - found * spread)

    if excess(discordant) < 0:
        return None
    return float(brentq(excess, 0, discordant, xtol=1e-12)) if discordant else None


def mcnemar_power(n: int, difference: float, discordant: float, *, level: float = LEVEL) -> float:
    """The probability that McNemar's exact test finds a difference on n images.

    Summed over how many images may turn out discordant; no approximation.

    Args:
        n: the number of images.
        difference: accuracy a - accuracy b, in -1..1.
        discordant: the share of images that exactly one of the two gets right.
        level: of the test, two-sided.
    """
    from scipy.stats import binom

    if discordant <= 0:
        return 0.0
    middle, reach = n * discordant, _REACH * math.sqrt(n * discordant * (1 - discordant)) + 1
    counts = np.arange(max(0, math.floor(middle - reach)), min(n, math.ceil(middle + reach)) + 1)
    # The largest number on the rarer side that is still refused; -1 where none is.
    edge = binom.ppf(level / 2, counts, 0.5)
    edge = np.where(2 * binom.cdf(edge, counts, 0.5) <= level, edge, edge - 1)
    share = (1 + difference / discordant) / 2
    found = binom.cdf(edge, counts, share) + binom.cdf(edge, counts, 1 - share)
    return float((binom.pmf(counts, n, discordant) * found).sum())


def seeds_needed(
    difference: float, spread: float, *, level: float = LEVEL, power: float = POWER
) -> int | None:
    """How many common seeds Student's paired test needs to find a mean difference.

    Args:
        difference: the mean over seeds of accuracy a - accuracy b.
        spread: the standard deviation over seeds of that difference.
        level: of the test, two-sided.
        power: the probability of finding the difference.

    Returns:
        At least 2; None for no difference, or if 10,000 seeds would not do.
    """
    difference = abs(difference)
    if difference == 0:
        return None
    enough = 2
    while seeds_power(enough, difference, spread, level=level) < power:
        enough *= 2
        if enough > _MOST_SEEDS:
            return None
    short = enough // 2
    while enough - short > 1:
        middle = (short + enough) // 2
        if middle >= 2 and seeds_power(middle, difference, spread, level=level) >= power:
            enough = middle
        else:
            short = middle
    return enough


def seeds_power(n: int, difference: float, spread: float, *, level: float = LEVEL) -> float:
    """The probability that Student's paired test finds a mean difference with n common seeds.

    Args:
        n: at least 2.
        difference: the mean over seeds of accuracy a - accuracy b.
        spread: the standard deviation over seeds of that difference.
        level: of the test, two-sided.
    """
    from scipy.stats import nct, t

    if spread == 0:
        return 1.0 if difference else level
    away = abs(difference) / spread * math.sqrt(n)
    edge = t.isf(level / 2, n - 1)
    found = float(nct.sf(edge, n - 1, away) + nct.cdf(-edge, n - 1, away))
    return 1.0 if math.isnan(found) else found  # SciPy gives no number where it is all but certain
