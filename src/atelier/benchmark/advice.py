"""Which contender to use for what, in sentences that claim no more than the rounds show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from ..evaluation.significance import mcnemar_exact
from ..evaluation.tables import p_value, percent
from .result import Measured, Rounds, names_of, rate, size

Need = Literal["latency", "throughput", "start", "memory", "size", "accuracy"]
_SURE = 0.05
_SAME_SIZE = 1.05


class _Quantity(NamedTuple):
    """What is measured in rounds.

    Attributes:
        of: the rounds of one contender, at its best.
        said: the same in words.
        largest: whether more is better.
    """

    of: Callable[[Measured], Rounds]
    said: Callable[[Measured], str]
    largest: bool = False


def advise(measured: Sequence[Measured], need: Need | None = None) -> list[str]:
    """A sentence for the need, or for each there is, and one on int8 where it can be compared.

    Args:
        measured: at least one contender.
        need: what matters; None is everything.
    """
    needs = NEEDS if need is None else (need,)
    lines = [f"{one}: {_sentence(one, measured)}" for one in needs]
    return lines + ([] if need in ("start", "memory") else _int8(measured))


def _sentence(need: Need, measured: Sequence[Measured]) -> str:
    if need == "size":
        return _smallest(measured)
    if need == "accuracy":
        return _most_accurate(measured)
    return _best(measured, _QUANTITIES[need])


def _best(measured: Sequence[Measured], quantity: _Quantity) -> str:
    sign = -1 if quantity.largest else 1
    ranked = sorted(measured, key=lambda one: sign * quantity.of(one).median)
    best, *others = ranked
    equals = [one for one in others if not quantity.of(one).differs(quantity.of(best))]
    worse = [one for one in others if one not in equals]
    words = f"{best.name}, {quantity.said(best)}"
    if equals:
        words += f"; no difference to {names_of(equals)} within the spread of the rounds"
    if worse:
        top, next_best = quantity.of(best).median, quantity.of(worse[0]).median
        factor = top / next_best if quantity.largest else next_best / top
        more = "that is {} times the rate of {}" if quantity.largest else "{} times as much for {}"
        words += "; " + more.format(f"{factor:.2g}", worse[0].name)
    return words


def _latency(one: Measured) -> str:
    speed = one.quickest()
    return (
        f"one image in {speed.p50_ms.median:.2f} ms, at the 99th percentile in "
        f"{speed.p99_ms.median:.2f} ms, on {_cores(speed.threads)}"
    )


def _throughput(one: Measured) -> str:
    speed, batch = one.best_batch()
    found = rate(speed.images_per_s[batch].median)
    return f"{found} images/s in batches of {batch} on {_cores(speed.threads)}"


def _best_rate(one: Measured) -> Rounds:
    speed, batch = one.best_batch()
    return speed.images_per_s[batch]


_QUANTITIES: dict[Need, _Quantity] = {
    "latency": _Quantity(lambda one: one.quickest().p50_ms, _latency),
    "throughput": _Quantity(_best_rate, _throughput, largest=True),
    "start": _Quantity(
        lambda one: one.speeds[0].start_s,
        lambda one: f"{one.speeds[0].start_s.median:.2f} s to the first answer of a new process",
    ),
    "memory": _Quantity(
        lambda one: one.speeds[0].memory_bytes,
        lambda one: f"{size(one.speeds[0].memory_bytes.median)} at its peak",
    ),
}
NEEDS: tuple[Need, ...] = (*_QUANTITIES, "size", "accuracy")


def _smallest(measured: Sequence[Measured]) -> str:
    best, *others = sorted(measured, key=lambda one: one.contender.size_bytes)
    words = f"{best.name}, {size(best.contender.size_bytes)} on disk"
    same = [
        one for one in others if one.contender.size_bytes < _SAME_SIZE * best.contender.size_bytes
    ]
    if same:
        words += f"; about the same for {names_of(same)}"
    for one in others:
        if one not in same:
            words += f"; {one.name} takes {size(one.contender.size_bytes)}"
    return words


def _most_accurate(measured: Sequence[Measured]) -> str:
    known = [one for one in measured if one.accuracy is not None]
    if not known:
        return "not measured, for no image is known to have been held out"
    best, *others = sorted(known, key=lambda one: -(one.accuracy or 0))
    words = f"{best.name}, {percent(best.accuracy)} of the {best.images}"
    p_values = {one.name: _p_value(best, one) for one in others}
    equals = [one for one in others if (p_values[one.name] or 0) >= _SURE]
    worse = [one for one in others if one not in equals and p_values[one.name] is not None]
    if equals:
        least = min(p for one in equals if (p := p_values[one.name]) is not None)
        words += f"; no difference to {names_of(equals)} by a paired test ({p_value(least)})"
    for one in worse:
        words += f"; {one.name} has {percent(one.accuracy)} ({p_value(p_values[one.name] or 0)})"
    apart = [one for one in others if p_values[one.name] is None]
    if apart:
        words += f"; {names_of(apart)} cannot be compared: judged on other images"
    return words


def _p_value(one: Measured, other: Measured) -> float | None:
    """Of McNemar's test on the same images; None where the images are not the same."""
    if one.correct is None or other.correct is None or one.sample != other.sample:
        return None
    return mcnemar_exact(one.correct, other.correct)


def _int8(measured: Sequence[Measured]) -> list[str]:
    """Whether int8 pays on this machine, for each int8 export whose float32 one is here too."""
    lines = []
    for one in measured:
        if one.contender.precision != "int8":
            continue
        full = [
            other
            for other in measured
            if other.contender.kind == one.contender.kind
            and other.contender.precision == "float32"
            and other.contender.weights_sha256 == one.contender.weights_sha256
        ]
        if full:
            lines.append(_int8_beside(one, full[0]))
    return lines


def _int8_beside(one: Measured, full: Measured) -> str:
    faster: list[int] = []
    same: list[int] = []
    said = []
    for batch in one.speeds[0].images_per_s:
        mine, other = (m.fastest(batch).images_per_s[batch] for m in (one, full))
        if not mine.differs(other):
            same.append(batch)
            continue
        if pays := mine.median > other.median:
            faster.append(batch)
        factor = f"{'' if pays else 'only '}{mine.median / other.median:.2f} times"
        said.append(f"{factor} the images/s in batches of {batch}")
    if same:
        said.append(f"no difference in batches of {_listed(same)}")
    if len(faster) == len(one.speeds[0].images_per_s):
        verdict = "pays in speed on this machine"
    elif faster:
        verdict = f"pays in speed on this machine in batches of {_listed(faster)} alone"
    else:
        verdict = "does not pay in speed on this machine"
    share = one.contender.size_bytes / full.contender.size_bytes
    words = f"int8: {one.name} {verdict}: {', '.join(said)}, beside {full.name}"
    words += f"; it takes {percent(share, 0)} of the room on disk"
    p = _p_value(one, full)
    if p is not None and one.accuracy is not None and full.accuracy is not None:
        told = "no difference" if p >= _SURE else "a difference"
        words += (
            f"; {percent(one.accuracy)} against {percent(full.accuracy)} right, {told} by a "
            f"paired test ({p_value(p)})"
        )
    return words


def _listed(batches: Sequence[int]) -> str:
    *first, last = map(str, batches)
    return f"{', '.join(first)} and {last}" if first else last


def _cores(threads: int) -> str:
    return "one core" if threads == 1 else f"{threads} cores"
