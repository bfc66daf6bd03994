"""Measuring processes: started, timed from outside, and ended whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import AtelierError

_LONGEST_S = 900.0  # that one measurement may take before it is given up


def measure_apart(spec: dict[str, Any], errors: Path) -> dict[str, Any]:
    """Run one worker to its end.

    Args:
        spec: what it is to measure, as `worker` reads it.
        errors: a file for its standard error.

    Returns:
        What it has said, and ``start_s``: from before its process was started to its first answer.

    Raises:
        AtelierError: it failed, or took over a quarter of an hour.
    """
    command = [sys.executable, "-P", "-m", "atelier.benchmark.worker", json.dumps(spec)]
    # Some libraries read their number of threads when they are loaded, before they can be told.
    environment = {**os.environ, "OMP_NUM_THREADS": str(spec["threads"])}
    row: dict[str, Any] = {}
    start = time.perf_counter()
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
        ) as process,
        _ended(process),
    ):
        assert process.stdout is not None
        for line in process.stdout:
            row |= json.loads(line)
            if row.pop("answered", False):
                row["start_s"] = time.perf_counter() - start
    if "error" in row:
        raise AtelierError(f"{spec['path']} cannot be measured: {row['error']}")
    if process.returncode != 0:
        lines = errors.read_text(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise AtelierError(
            f"the process that measured {spec['path']} failed: {reason}",
            fix="If memory ran out, try smaller batch sizes",
        )
    return row


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Wait for a process in the end, and kill it if the block fails or takes too long."""
    timer = threading.Timer(_LONGEST_S, process.kill)
    timer.start()
    try:
        yield
        process.wait()
    except BaseException:
        process.kill()
        raise
    finally:
        timer.cancel()
