"""What every test gets: its own cache, no network, one thread, and a terminal of a known width."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

Connect = Callable[[socket.socket, Any], Any]

# One thread: tests are small, and waiting for a shared core costs more than it brings. Set before
# anything imports NumPy or torch.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

# A deadline measures how busy the machine is; a random seed makes a failure that nobody can repeat.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def own_surroundings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep the user's cache and terminal out of the tests, and the tests out of theirs."""
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection but those within this machine."""

    def guarded(
        connect: Callable[[socket.socket, Any], Any],
    ) -> Callable[[socket.socket, Any], Any]:
        def connect_within(self: socket.socket, address: Any) -> Any:
            within = self.family == getattr(socket, "AF_UNIX", None) or str(address[0]) in {
                "127.0.0.1",
                "::1",
                "localhost",
            }
            if not within:
                raise OSError(f"tests are offline; a connection to {address} was refused")
            return connect(self, address)

        return connect_within

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture
def repository() -> Path:
    """The root of this repository."""
    return Path(__file__).resolve().parent.parent
