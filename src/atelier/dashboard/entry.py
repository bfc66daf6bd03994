"""`dashboard`: a process that shows a folder of runs to this machine's browser until stopped."""

from __future__ import annotations

import errno
import socket
import threading
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigError
from ..extras import require

HOST = "127.0.0.1"


def dashboard(
    folder: str | Path = "runs",
    *,
    port: int = 7861,
    browser: bool = True,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Show a folder of runs in a browser until stopped by Ctrl-C or SIGTERM.

    Only this machine can reach the page, which reads the run folders and writes nothing. Runs that
    appear meanwhile are there after a refresh.

    Args:
        folder: holds run folders, at most three levels deep.
        port: 0 is any that is free.
        browser: open the page in the user's browser.
        on_ready: told the page's address once it answers; None prints it.

    Raises:
        RunError: there is no such folder, or it is itself a run folder.
        ConfigError: the port is taken or not allowed.
        ExtraError: a library is not installed.
    """
    for module in ("starlette", "uvicorn", "plotly"):
        require(module, extra="dashboard")
    import uvicorn

    from .app import create_app

    app = create_app(folder)
    with listen(port) as listener:
        address = f"http://{HOST}:{listener.getsockname()[1]}/"

        def ready() -> None:
            if on_ready is None:
                print(f"runs of {folder}: {address}  (stop with Ctrl-C)", flush=True)
            else:
                on_ready(address)
            if browser:
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

        class Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready()

        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            access_log=False,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        with suppress(KeyboardInterrupt):  # how one stops it
            Server(config).run(sockets=[listener])


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback.

    Raises:
        ConfigError: the port is taken, not allowed, or none.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError("there is no such port", got=port, allowed="0 to 65535")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # A port whose connections of a moment ago still linger is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"is shut: {error.strerror}"
        raise ConfigError(
            f"port {port} {reason}", fix="Pass another --port (0 is any that is free)"
        ) from error
    return listener
