"""What a search for drift has found, in words and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ..evaluation.tables import ABSENT, html_table, p_value, percent, percent_range, text_table
from .estimation import AccuracyEstimates, Estimate

ALPHA = 0.05
_SMALL = 500  # predictions: among fewer only large changes show
_MOST_CLASSES = 3  # that a sentence names

_LIMITS = (
    "These intervals cover chance alone: a model that is sure of what it never saw is estimated "
    "too high."
)
_SHARES_ALONE = (
    "Within each class, pictures and answers look as before: other shares of the classes explain "
    "it all. If customers have always asked for these, it is a difference from the reference and "
    "no change in time."
)
_NOT_SHARES_ALONE = (
    "Other shares of the classes do not explain it all: also within them, {} differ."
)

# By the key of a finding: what the pictures are if the number has grown, and if it has shrunk.
_LOOKS = {
    "brightness": ("lighter", "darker"),
    "contrast": ("richer in contrast", "poorer in contrast"),
    "dark share": ("blacker in places", "less black in places"),
    "light share": ("whiter in places", "less white in places"),
    "sharpness": ("sharper or noisier", "softer"),
    "left to right": (
        "lighter to the right, as mirroring does",
        "lighter to the left, as mirroring does",
    ),
    "top to bottom": ("lighter at the bottom", "lighter at the top"),
    "colorfulness": ("more colorful", "less colorful"),
}


@dataclass(frozen=True)
class Finding:
    """One test.

    Attributes:
        key: ``classes``, ``confidence``, ``embedding``, ``thumbnails``, or a name of `facts.NAMES`.
        name: what was compared.
        test: by which test.
        effect: how large the difference is.
        measure: of which kind the effect is.
        p: the chance of such a difference where there is none.
        p_corrected: the same for all tests together (Holm 1979).
        p_within: corrected likewise, of a comparison within each predicted class, which other
            shares of the classes do not disturb; None where it makes no sense.
        before: the mean on the reference, of what has one.
        now: the mean of the traffic.
    """

    key: str
    name: str
    test: str
    effect: float
    measure: str
    p: float
    p_corrected: float
    p_within: float | None = None
    before: float | None = None
    now: float | None = None

    @property
    def drifted(self) -> bool:
        """Whether it is a change, at 5 % over all tests together."""
        return self.p_corrected < ALPHA

    @property
    def within(self) -> bool:
        """Whether images of one predicted class differ, whatever the shares of the classes are."""
        return self.p_within is not None and self.p_within < ALPHA


@dataclass(frozen=True)
class ClassShare:
    """One class.

    Attributes:
        name: of the class.
        before: the share of the reference's images that were answered with it.
        now: the share of the traffic that was.
        true_before: the share of the reference's images that are of it.
        true_now: the share of the traffic that is, estimated.
    """

    name: str
    before: float
    now: float
    true_before: float
    true_now: Estimate


@dataclass(frozen=True)
class LiveAccuracy:
    """What users have said of answers.

    Attributes:
        answers: of how many they named the class.
        right: how many of them were right.
        accuracy: the share, with its interval.
    """

    answers: int
    right: int
    accuracy: Estimate


@dataclass(frozen=True)
class Drift:
    """Whether the pictures, or the answers, are no longer what they were.

    Attributes:
        model: whose predictions these are.
        version: of it.
        reference: what they are compared with, in words.
        predictions: how many.
        since: when the first was answered, in UTC.
        until: when the last was.
        findings: of each test.
        classes: of each class.
        accuracy: estimated without labels.
        accuracy_before: on the reference, whose labels are known.
        live: from feedback; None where there is none.
        unknown: the share of answers that were "unknown".
        lost: predictions that were answered in this time but are not in the log.
        notes: what a reader must know.
    """

    model: str
    version: str
    reference: str
    predictions: int
    since: datetime
    until: datetime
    findings: tuple[Finding, ...]
    classes: tuple[ClassShare, ...]
    accuracy: AccuracyEstimates
    accuracy_before: Estimate
    live: LiveAccuracy | None
    unknown: float
    lost: int
    notes: tuple[str, ...]

    @property
    def drifted(self) -> bool:
        """Whether any test found a change, at 5 % over all of them together."""
        return any(finding.drifted for finding in self.findings)

    def __getitem__(self, key: str) -> Finding:
        return next(finding for finding in self.findings if finding.key == key)

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        count = sum(finding.drifted for finding in self.findings)
        when = f"{_moment(self.since)} to {_moment(self.until)} UTC"
        what = f"{self.predictions:,} predictions of {self.model}, {when}"
        if not count:
            return f"No drift found by {len(self.findings)} tests of {what}."
        return f"Drift: {count} of {len(self.findings)} tests found a change in {what}."

    @property
    def changes(self) -> list[str]:
        """What changed, a sentence each."""
        said = [self._change(finding) for finding in self.findings if finding.drifted]
        if said and self["classes"].drifted:
            inside = [finding.name for finding in self.findings if finding.within]
            said.append(_NOT_SHARES_ALONE.format(", ".join(inside)) if inside else _SHARES_ALONE)
        if not said and self.predictions < _SMALL:
            said.append("Among so few predictions only a large change would show.")
        if self.lost:
            said.append(
                f"{self.lost:,} predictions of this time are missing: the log was full or away."
            )
        return said

    @property
    def accuracy_words(self) -> list[str]:
        """What can be said of the accuracy, a sentence each."""
        found = self.accuracy
        before = self.accuracy_before
        said = [
            f"Estimated accuracy without labels: {_estimate(found.by_confidence)} by the "
            f"confidences, {_estimate(found.by_threshold)} by the share of confident answers, "
            f"{_estimate(found.by_classes)} if only the shares of the classes changed. It was "
            f"{_estimate(before)} on the reference. " + _LIMITS
        ]
        if self.live is not None:
            answers = f"{self.live.right:,} of {self.live.answers:,} answers"
            said.append(
                f"Users found {answers} right, {_estimate(self.live.accuracy)}: of those that they "
                "judged, which they chose."
            )
        return said

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the tests."""
        header = ["what", "test", "effect", "p", "corrected", "within classes", "changed"]
        return header, [
            [
                finding.name,
                finding.test,
                f"{finding.effect:.3f} {finding.measure}",
                _p(finding.p),
                _p(finding.p_corrected),
                _p(finding.p_within),
                "yes" if finding.drifted else "no",
            ]
            for finding in self.findings
        ]

    def class_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the classes."""
        header = ["class", "answered before", "answered now", "true before", "true now, estimated"]
        return header, [
            [
                share.name,
                percent(share.before, 1),
                percent(share.now, 1),
                percent(share.true_before, 1),
                _estimate(share.true_now),
            ]
            for share in self.classes
        ]

    def __str__(self) -> str:
        lines = [self.headline, *(f"- {line}" for line in self.changes), ""]
        lines += [text_table(*self.table()), ""]
        if self["classes"].drifted:
            lines += [text_table(*self.class_table()), ""]
        lines += self.accuracy_words
        lines += [f"Compared with {self.reference}.", *self.notes]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(*self.table())

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        result = asdict(self)
        result["since"], result["until"] = self.since.isoformat(), self.until.isoformat()
        result["drifted"] = self.drifted
        for finding, said in zip(self.findings, result["findings"], strict=True):
            said["drifted"] = finding.drifted
        result["words"] = [self.headline, *self.changes, *self.accuracy_words]
        return result

    def _change(self, finding: Finding) -> str:
        if finding.key == "classes":
            return self._class_change()
        if finding.key == "confidence":
            before, now = finding.before or 0.0, finding.now or 0.0
            how = "surer" if now > before else "less sure"
            return (
                f"The model is {how} of its answers: {percent(now, 1)} on average instead of "
                f"{percent(before, 1)}."
            )
        if finding.key == "embedding":
            return "What the network sees in the pictures has changed (its embedding)."
        if finding.key == "thumbnails":
            return "The pictures differ where all are laid over each other, in 8 x 8 fields."
        before, now = finding.before or 0.0, finding.now or 0.0
        how = _LOOKS[finding.key][now < before]
        return f"The pictures are {how} ({finding.name} {now:.3f}, was {before:.3f})."

    def _class_change(self) -> str:
        ranked = sorted(self.classes, key=lambda share: -abs(share.now - share.before))
        named = [
            f"{share.name} {percent(share.now, 1)} instead of {percent(share.before, 1)}"
            for share in ranked[:_MOST_CLASSES]
        ]
        return f"The answers are of other classes: {', '.join(named)}."


def _estimate(found: Estimate) -> str:
    return f"{percent(found.value, 1)} ({percent_range((found.low, found.high), 1)})"


def _p(p: float | None) -> str:
    return ABSENT if p is None else p_value(p).removeprefix("p ").removeprefix("= ")


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
