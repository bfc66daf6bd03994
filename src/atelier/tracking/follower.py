"""What a training tells a tracker, and how it never waits for it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from .target import Target, target_of

_PATIENCE_S = 60.0  # at the end of all trainings, for what is still to be sent


class Tracker(Protocol):
    """Who follows trainings."""

    def update(self, folder: Path) -> None:
        """Take note that a run folder has changed. Returns at once and raises nothing."""

    def close(self) -> None:
        """Send what is left, within a limit of time."""


class _NoTracker:
    def update(self, folder: Path) -> None:
        pass

    def close(self) -> None:
        pass


class MlflowTracker:
    """Sends run folders to MLflow from a process of its own, which starts with the first folder.

    Args:
        target: the MLflow.
        experiment: what the runs belong to; None is the name of their data set.
        patience: seconds to wait for it at the end.
        say: receives what went wrong; standard error by default.
    """

    def __init__(
        self,
        target: Target,
        experiment: str | None = None,
        *,
        patience: float = _PATIENCE_S,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._target, self._experiment, self._patience = target, experiment, patience
        self._say = say or _to_stderr
        self._process: subprocess.Popen[bytes] | None = None
        self._folders: dict[Path, None] = {}
        self._broken = False

    def update(self, folder: Path) -> None:
        folder = folder.absolute()
        self._folders[folder] = None
        if self._broken:
            return
        try:
            if self._process is None:
                self._process = self._start()
            assert self._process.stdin is not None
            # The last update of a folder tells all: one that does not fit may be lost.
            with contextlib.suppress(BlockingIOError):
                os.write(self._process.stdin.fileno(), os.fsencode(folder) + b"\n")
        except OSError as error:
            self._broken = True
            self._say(f"warning: the tracking has stopped and the training goes on: {error}")

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        answer: dict[str, Any] = {}
        try:
            with contextlib.suppress(ValueError):
                said, _ = process.communicate(timeout=self._patience)
                answer = json.loads(said)
        except subprocess.TimeoutExpired:
            answer = {"reason": f"no answer within {self._patience:.0f} s"}
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        behind = answer.get("behind", [str(folder) for folder in self._folders])
        if behind:
            shown = " ".join(shlex.quote(folder) for folder in behind[:3])
            more = " ..." if len(behind) > 3 else ""
            what = "1 run" if len(behind) == 1 else f"{len(behind)} runs"
            self._say(
                f"warning: MLflow lacks parts of {what} ({answer.get('reason') or 'it stopped'}). "
                f"Send them with `atelier track {shown}{more} --to mlflow:{self._target.shown}`"
            )

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "ATELIER_TRACKING_URI": self._target.uri,
            "ATELIER_TRACKING_EXPERIMENT": self._experiment or "",
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", f"{__package__}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the training, whose end it is to tell
        )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process


@contextlib.contextmanager
def following(
    track: str | Tracker | None,
    *,
    experiment: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[Tracker]:
    """The tracker that `track` names, closed at the end; one that is given stays open.

    Args:
        track: ``mlflow``, ``mlflow:URI``, a tracker, or None for none.
        experiment: what the runs belong to; None is the name of their data set.
        say: receives what went wrong; standard error by default.

    Raises:
        ConfigError: not such a name or URI.
        ExtraError: mlflow is not installed.
    """
    if track is None:
        yield _NoTracker()
    elif isinstance(track, str):
        tracker = MlflowTracker(target_of(track), experiment, say=say)
        try:
            yield tracker
        finally:
            tracker.close()
    else:
        yield track


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
