"""A bucket of tokens for each client, in bounded memory."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

_MAX_CLIENTS = 10_000
_IPV6_PREFIX = 64  # what one household is given: its addresses are one client


class Throttle:
    """Lets each client make `per_s` requests a second, and `burst` of them at once after a pause.

    The clients seen last are remembered; one that is forgotten starts with a full bucket.

    Args:
        per_s: tokens that a bucket gains in a second; above 0.
        burst: tokens that it holds.
        clock: the time in seconds.
    """

    def __init__(
        self, per_s: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take a token for `client`: 0 where there was one, else the seconds until there is one."""
        now = self._clock()
        tokens, seen = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - seen) * self._per_s)
        granted = tokens >= 1
        self._buckets[client] = (tokens - 1 if granted else tokens, now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (1 - tokens) / self._per_s


@lru_cache(maxsize=4096)
def household(address: str) -> str:
    """The part of an address that one client has for itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))
    return str(ip)
