"""What can go wrong, said to a person.

AtelierError            every error that a user can mend; the command line exits with code 2
├── ConfigError         an unknown or impossible recipe, option or override
│   └── DivergenceError a training whose loss is no longer a number
├── DataError           a data set that is missing, corrupt or not what it claims to be
│   └── ImageError      one image file that cannot be read safely
├── RunError            a run folder that is missing, half written or of another version
├── ExportError         an exported file that is damaged, or that does not answer as its run does
├── LogError            a prediction log that cannot be used
├── ExtraError          an optional library that is not installed
├── DeviceError         a device that this machine does not have, or has too little of
└── StorageError        no space, no permission, or something in the way
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AtelierError(Exception):
    """One line that says what was wrong, what was got, what is allowed and how to mend it.

    Args:
        problem: what was wrong, as a sentence without its full stop.
        got: the value that was met.
        allowed: the values that would have been accepted.
        fix: what the user can do now, as an imperative sentence without its full stop.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        got: object = None,
        allowed: Iterable[object] | str | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem, self.got, self.fix = problem, got, fix
        self.allowed = (
            allowed if allowed is None or isinstance(allowed, str) else ", ".join(map(str, allowed))
        )
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.problem
        if self.got is not None:
            text += f"; got {self.got!r}" if isinstance(self.got, str) else f"; got {self.got}"
        if self.allowed is not None:
            text += f"; allowed: {self.allowed}"
        if self.fix is not None:
            text += f". {self.fix}"
        # A newline inside a file name or a library's message must not break the one line.
        return " ".join(text.split())


class ConfigError(AtelierError):
    """An unknown or impossible recipe, option or override."""


class DivergenceError(ConfigError):
    """A training whose loss is no longer a number."""


class DataError(AtelierError):
    """A data set that is missing, corrupt or not what it claims to be."""


class ImageError(DataError):
    """One image file that cannot be read safely."""


class RunError(AtelierError):
    """A run folder that is missing, half written or of another version."""


class ExportError(AtelierError):
    """An exported file that is damaged, or that does not answer as its run does."""


class LogError(AtelierError):
    """A prediction log that cannot be used."""


class ExtraError(AtelierError):
    """An optional library that is not installed."""


class DeviceError(AtelierError):
    """A device that this machine does not have, or has too little of."""


class StorageError(AtelierError):
    """No space, no permission, or something in the way."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``Did you mean 'x'?`` for the nearest of `names`, or the whole list where none is near."""
    lowered = {known.lower(): known for known in sorted(names)}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {lowered[near[0]]!r}?"
    return f"Known: {', '.join(lowered.values())}"
