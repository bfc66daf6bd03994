"""Who is let in when more is asked than can be answered, decided from the head of a request alone.

At twice the load that can be served every second request is refused, and its refusal must neither
cost what the others need nor wait for them. So it is answered as soon as its head is there, from
bytes made beforehand; and of the requests that were let in, only a few are begun in each turn of
the event loop, so that the turns stay short.

A queue is there for those who come all at once after a pause. One that is full for longer answers
no more requests than a short one, and lets each wait longer (the bad queue of Nichols and Jacobson
2012, "Controlling Queue Delay"). So where requests were refused a moment ago, fewer are let in.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from .service import WORK, Service

_PATHS = {path.encode(): path for path in WORK}
_BEGUN_IN_A_TURN = 8
_CROWDED_S = 1.0  # from a refusal on, which is when who was refused may ask again
_CROWDED_SHARE, _CROWDED_LEAST = 0.25, 64  # of the room


class Admission:
    """The `Room` of a service.

    Where the workers are the bottleneck, the queue says when it is full. Where talking to clients
    is, as with many small requests, the queue stays short and requests pile up before it: so they
    count, too.

    Args:
        service: whose queue and limits hold.

    Attributes:
        inside: whole requests that came in and are not answered yet; the connections count them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._room = service.settings.limits.max_requests
        self._crowded_room = min(self._room, max(_CROWDED_LEAST, int(_CROWDED_SHARE * self._room)))
        self._crowded_until = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._beginning = False
        self.inside = 0

    def turns_away(self, url: bytes) -> bool:
        """Whether a request for `url` finds no room; it is counted as refused then."""
        route = _PATHS.get(url.partition(b"?")[0])
        if route is None:
            return False
        now = time.monotonic()
        room = self._crowded_room if now < self._crowded_until else self._room
        if self.inside < room and not self._service.full:
            return False
        self._crowded_until = now + _CROWDED_S
        self._service.metrics.refused("queue")
        self._service.metrics.request(route, 503)
        return True

    def begin(self, request: Callable[[], None]) -> None:
        """Call `request` soon, after those that came before it."""
        self._waiting.append(request)
        if not self._beginning:
            self._beginning = True
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _begin_some(self) -> None:
        for _ in range(min(_BEGUN_IN_A_TURN, len(self._waiting))):
            self._waiting.popleft()()
        self._beginning = bool(self._waiting)
        if self._beginning:
            asyncio.get_running_loop().call_soon(self._begin_some)
