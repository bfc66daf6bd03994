"""What the other verbs know of the runs: what they have kept, or a quick look at a sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import AtelierError, ConfigError, did_you_mean
from .sections import Section

if TYPE_CHECKING:
    from ..data import Dataset
    from ..runs import Run


@dataclass(frozen=True, eq=False)
class Finding:
    """One verb's section, and the sentences of it that belong into the summary."""

    section: Section
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Look:
    """What is looked at.

    Attributes:
        runs: by the names that they have in the report.
        best: the run that costly looks are taken at.
        dataset: of all the runs.
        quick: nothing is computed; what the verbs have kept is all that is shown.
        device: of the networks.
    """

    runs: Mapping[str, Run]
    best: str
    dataset: Dataset
    quick: bool = False
    device: str = "auto"


def _uncertainty(look: Look) -> Finding:
    from .topics.uncertainty import uncertainty_finding

    return uncertainty_finding(look)


def _audit(look: Look) -> Finding:
    from .topics.audit import audit_finding

    return audit_finding(look)


def _explanations(look: Look) -> Finding:
    from .topics.explanations import explanations_finding

    return explanations_finding(look)


def _robustness(look: Look) -> Finding:
    from .topics.robustness import robustness_finding

    return robustness_finding(look)


def _embeddings(look: Look) -> Finding:
    from .topics.embeddings import embeddings_finding

    return embeddings_finding(look)


# In the order in which they are shown; each is imported when it is looked for.
_FINDERS: dict[str, tuple[str, Callable[[Look], Finding]]] = {
    "uncertainty": ("Uncertainty", _uncertainty),
    "audit": ("Audit of the data", _audit),
    "explanations": ("Explanations", _explanations),
    "robustness": ("Robustness", _robustness),
    "embeddings": ("Embeddings", _embeddings),
}
TOPICS = tuple(_FINDERS)


def check_topics(without: Sequence[str]) -> None:
    """Refuse names of topics that cannot be left out.

    Raises:
        ConfigError: there is no such topic.
    """
    for name in without:
        if name not in TOPICS:
            raise ConfigError(
                "no such topic can be left out of a report",
                got=name,
                allowed=TOPICS,
                fix=did_you_mean(name, TOPICS),
            )


def find(topic: str, look: Look) -> Finding:
    """What is known of one topic. What cannot be known is said in its section, and the report of
    all the rest goes on."""
    title, finder = _FINDERS[topic]
    try:
        return finder(look)
    except AtelierError as error:
        return Finding(Section(topic, title, missing=f"Nothing is shown here: {error}."))


def command(verb: str, runs: Sequence[Run]) -> str:
    """The command line that makes more of it, for a sentence."""
    import shlex

    return f"`atelier {verb} {shlex.join(str(run.path) for run in runs)}`"
