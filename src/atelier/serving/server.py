"""The process: a socket, signals, and a stop that loses nothing that was accepted."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from math import ceil

import uvicorn
from fastapi import FastAPI

from ..errors import ConfigError
from .admission import Admission
from .connections import connections_within
from .service import Service
from .settings import ServeSettings

_log = logging.getLogger(__name__)
_BACKLOG = 2048
# uvloop takes one new connection in a turn of its loop for each time that it listens. Turns are
# long where much is asked, and of a crowd that comes then the last would wait for seconds.
_LISTENS = 1 if sys.platform == "win32" else 32  # Windows has no uvloop
# Python lets a thread that computes keep the others waiting for 5 ms; the one that talks to clients
# waits once for each turn of its loop.
_SWITCH_S = 0.0005


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        ConfigError: the port is taken or not allowed, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            # A port whose connections of a moment ago still linger is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except socket.gaierror as error:
        raise ConfigError(
            "there is no such address to listen at", got=host, fix="Pass another --host"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} at {host} is taken",
                fix="Stop what listens there, or pass another --port (0 is any that is free)",
            ) from error
        if error.errno == errno.EACCES:
            raise ConfigError(
                f"this user may not listen at port {port}", fix="Pass a --port from 1024 on"
            ) from error
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {error.strerror}", fix="Pass another --host"
        ) from error
    listener.setblocking(False)
    return listener


class Server(uvicorn.Server):
    """uvicorn with our signals, connections and settings.

    SIGTERM or SIGINT: nothing new is taken, what was accepted is answered, and the process ends
    with 0. A second one ends it at once. SIGHUP: the files of the models are looked at.

    Args:
        app: the application.
        service: that it belongs to.
        settings: of it.
        ready: called once requests are taken.
    """

    def __init__(
        self,
        app: FastAPI,
        service: Service,
        settings: ServeSettings,
        ready: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=connections_within(
                    settings.limits, service.metrics.refused, Admission(service)
                ),
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # anybody can write them
                backlog=_BACKLOG,
                timeout_graceful_shutdown=ceil(settings.stop_timeout_s),
            )
        )
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen."""
        given = sockets or []
        with contextlib.ExitStack() as opened:
            copies = [
                opened.enter_context(each.dup()) for each in given for _ in range(_LISTENS - 1)
            ]
            await super().startup([*given, *copies] or None)
            opened.pop_all()  # they are closed with the servers from here on
        # What is here now stays: the collector need not look at it again and again, for up to a
        # tenth of a second each time.
        gc.collect()
        gc.freeze()
        if self._ready is not None:
            self._ready()

    def stop(self) -> None:
        """Stop gracefully; may be called from any thread."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours in place of uvicorn's, which raises the signal anew when all is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        stops = (signal.SIGTERM, signal.SIGINT)
        try:
            for number in stops:
                loop.add_signal_handler(number, self._stop_by, number)
            loop.add_signal_handler(signal.SIGHUP, self._service.look_at_models)
        except (NotImplementedError, AttributeError):  # Windows
            for number in stops:
                signal.signal(number, lambda got, _: self._stop_by(signal.Signals(got)))
        yield

    def _stop_by(self, number: signal.Signals) -> None:
        if self.should_exit:
            _log.warning("stopped at once, by a second %s", number.name)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(128 + number)
        _log.info("stopping after what was accepted, by %s", number.name)
        self.should_exit = True


def run(server: Server, listener: socket.socket) -> None:
    """Serve until stopped."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        # Around all threads that read images: each would put back what another has just changed.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.run(sockets=[listener])
    finally:
        sys.setswitchinterval(interval)
        gc.unfreeze()
