"""Where the service may listen, and by which names it may be called."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from ..errors import ConfigError
from .keys import DEFAULT_FILE

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a service that listens at `host`.

    A name other than ``localhost`` does not count: what it means is decided elsewhere.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_door(host: str, keys_file: Path | None) -> None:
    """Raise `ConfigError` if others could reach the service and it would ask them for no key."""
    if keys_file is None and not is_loopback(host):
        raise ConfigError(
            f"at {host} others than this machine could reach the service, and it has no keys",
            fix=f"Make one with `atelier keys add NAME` and pass `--keys {DEFAULT_FILE}`, "
            "or keep to the default, --host 127.0.0.1",
        )


def known_hosts(host: str, more: Iterable[str] = ()) -> frozenset[str] | None:
    """The names in the Host header by which the service may be called; None takes any.

    On loopback a foreign name is a page elsewhere that made its own name point here (DNS
    rebinding). Bound wider, the service cannot know its names; keys guard it there, and the names
    that are given.
    """
    names = [name.lower() for name in more]
    if is_loopback(host):
        return frozenset({*_LOOPBACK_NAMES, _in_header(host), *names})
    return frozenset(names) or None


def _in_header(host: str) -> str:
    host = host.lower()
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def name_of(host_header: str) -> str:
    """The name in a Host header, without its port."""
    name, bracket, _ = host_header.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0]
