"""The process that sends runs to MLflow while they are trained.

MLflow takes seconds to import and longer to answer; here that costs the training nothing, and a
server that hangs can be left. Standard input names a run folder in each line that has changed, and
ends with the training; standard output has one line of JSON at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from .mirror import Mirror
from .target import Target


def main(uri: str, experiment: str) -> None:
    """Follow the folders that standard input names, and say at the end what is missing."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    target = Target(uri)
    mirror: Mirror | None = None
    seen: dict[Path, None] = {}
    behind: set[Path] = set()
    failures, reason, rest, ended = 0, "", b"", False
    while not ended:
        # All that is there: who is slow sends several epochs at once.
        portion = os.read(0, 1 << 16)
        ended = not portion
        *lines, rest = (rest + portion).split(b"\n")
        named = [Path(os.fsdecode(line)) for line in lines if line]
        seen.update(dict.fromkeys(named))
        for folder in seen if ended else dict.fromkeys([*behind, *named]):
            try:
                mirror = mirror or Mirror(target, experiment or None)
                mirror.sync(folder, ended=ended)
                behind.discard(folder)
            except Exception as error:  # whatever MLflow raises: the training must not see it
                failures += 1
                behind.add(folder)
                reason = reason or " ".join(str(error).split())[:300] or type(error).__name__
                if failures == 1:
                    line = f"warning: MLflow at {target.shown} does not take the run: {reason}"
                    print(line, file=sys.stderr, flush=True)
    print(json.dumps({"failures": failures, "reason": reason, "behind": [str(f) for f in behind]}))


if __name__ == "__main__":
    # The address by the environment, for others can see a command line and its passwords.
    main(os.environ["ATELIER_TRACKING_URI"], os.environ.get("ATELIER_TRACKING_EXPERIMENT", ""))
