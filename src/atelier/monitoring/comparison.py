"""Traffic beside a reference: all tests, their correction, and the estimates."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from ..evaluation.significance import holm, wilson_interval
from ..progress import progress_bar
from .estimation import Answered, Estimate, estimate
from .facts import NAMES
from .findings import ClassShare, Drift, Finding, LiveAccuracy
from .reference import Reference
from .shifts import (
    PERMUTATIONS,
    Permuted,
    class_shift,
    joined,
    kernel_features,
    number_shift,
    whitened,
)
from .traffic import Traffic

_KS = "Kolmogorov-Smirnov"


def compared(
    reference: Reference,
    traffic: Traffic,
    *,
    permutations: int = PERMUTATIONS,
    progress: bool = False,
) -> Drift:
    """All tests of traffic against a reference.

    Args:
        reference: what the answers should look like.
        traffic: what they look like.
        permutations: of the tests that need them.
        progress: show a bar on standard error.
    """
    k = len(reference.classes)
    before = Answered(reference.predicted, reference.confidence, reference.labels)
    now = Answered(traffic.predicted, traffic.confidence)
    with progress_bar("drift", 3, show=progress) as bar:
        findings = _tests(reference, traffic, permutations)
        bar.update(1, "tests")
        findings = _within(findings, reference, traffic, permutations)
        bar.update(2, "tests within classes")
        accuracy, shares = estimate(before, now, k)
        bar.update(3, "estimates")
    m, n = len(reference), len(traffic)
    right = int((reference.predicted == reference.labels).sum())
    counts = {
        "before": np.bincount(reference.predicted, minlength=k) / m,
        "now": np.bincount(traffic.predicted, minlength=k) / n,
        "true": np.bincount(reference.labels, minlength=k) / m,
    }
    return Drift(
        model=traffic.model,
        version=traffic.version,
        reference=f"{reference.images}, answered by {reference.name}",
        predictions=n,
        since=datetime.fromtimestamp(traffic.times.min(), UTC),
        until=datetime.fromtimestamp(traffic.times.max(), UTC),
        findings=tuple(findings),
        classes=tuple(
            ClassShare(
                name,
                before=float(counts["before"][j]),
                now=float(counts["now"][j]),
                true_before=float(counts["true"][j]),
                true_now=shares[j],
            )
            for j, name in enumerate(reference.classes)
        ),
        accuracy=accuracy,
        accuracy_before=_share(right, m),
        live=_live(traffic),
        unknown=float(traffic.unknown.mean()),
        lost=traffic.lost,
        notes=(*traffic.notes, *_not_tested(traffic)),
    )


def _tests(reference: Reference, traffic: Traffic, permutations: int) -> list[Finding]:
    """Every test, without regard to classes, corrected for their number."""

    def finding(key: str, name: str, test: str, measure: str, effect: float, p: float) -> Finding:
        return Finding(key, name, test, effect, measure, p, p)

    shift = class_shift(reference.predicted, traffic.predicted, len(reference.classes))
    found = [finding("classes", "classes", "chi-square", "of the answers", shift.effect, shift.p)]
    shift = number_shift(reference.confidence, traffic.confidence)
    found.append(
        replace(
            finding("confidence", "confidence", _KS, "distance", shift.effect, shift.p),
            before=float(reference.confidence.mean()),
            now=float(traffic.confidence.mean()),
        )
    )
    whole = _permuted(reference, traffic, permutations)
    for key, shift in whole.shifts().items():
        test, measure = (
            ("MMD", "discrepancy") if key == "embedding" else ("Hotelling's T²", "deviations")
        )
        found.append(finding(key, key, test, measure, shift.effect, shift.p))
    for column, name in enumerate(NAMES):
        own, other = reference.stats[:, column], traffic.stats[:, column]
        if not np.ptp(own) and not np.ptp(other) and own[0] == other[0]:
            continue  # as the colors of gray images: no test of what cannot differ
        shift = number_shift(own, other)
        found.append(
            replace(
                finding(name, name, _KS, "distance", shift.effect, shift.p),
                before=float(own.mean()),
                now=float(other.mean()),
            )
        )
    corrected = holm([one.p for one in found])
    return [replace(one, p_corrected=p) for one, p in zip(found, corrected, strict=True)]


def _within(
    findings: list[Finding], reference: Reference, traffic: Traffic, permutations: int
) -> list[Finding]:
    """The same differences, against permutations that leave each predicted class its share."""
    strata = np.concatenate([reference.predicted, traffic.predicted])
    test = _permuted(reference, traffic, permutations, strata=strata)
    columns = {"confidence": (reference.confidence, traffic.confidence)}
    for column, name in enumerate(NAMES):
        columns[name] = (reference.stats[:, column], traffic.stats[:, column])
    for finding in findings:
        if finding.key in columns:
            test.add_number(finding.key, joined(columns[finding.key]))
    shifts = test.shifts()
    corrected = dict(zip(shifts, holm([shift.p for shift in shifts.values()]), strict=True))
    return [replace(one, p_within=corrected.get(one.key)) for one in findings]


def _permuted(
    reference: Reference,
    traffic: Traffic,
    permutations: int,
    *,
    strata: np.ndarray | None = None,
) -> Permuted:
    is_traffic = np.repeat([False, True], [len(reference), len(traffic)])
    test = Permuted(is_traffic, strata, permutations)
    if traffic.embedding is not None:
        vectors = joined([reference.embedding, traffic.embedding])
        test.add_features("embedding", kernel_features(vectors, is_traffic))
    if traffic.thumbnails is not None:
        test.add_features(
            "thumbnails", whitened(joined([reference.thumbnails, traffic.thumbnails]))
        )
    return test


def _not_tested(traffic: Traffic) -> list[str]:
    missing = []
    if traffic.embedding is None:
        missing.append("embeddings of the reference's width")
    if traffic.thumbnails is None:
        missing.append("thumbnails")
    if not missing:
        return []
    return [f"The log keeps no {' and no '.join(missing)}: what needs them was not tested."]


def _live(traffic: Traffic) -> LiveAccuracy | None:
    known = traffic.labels >= 0
    n = int(known.sum())
    if n == 0:
        return None
    right = int((traffic.labels == traffic.predicted)[known].sum())
    return LiveAccuracy(n, right, _share(right, n))


def _share(right: int, n: int) -> Estimate:
    low, high = wilson_interval(right, n)
    return Estimate(right / n, low, high)
