"""Named keys to a service, of which only salted digests are kept.

A key is 256 random bits: nobody guesses one, and nobody finds one from its digest, however fast
that is computed. A slow password hash would bring nothing but a way to keep the service busy.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError

from ..config.strict import Strict
from ..errors import ConfigError, did_you_mean
from ..storage import atomic_path

DEFAULT_FILE = Path("atelier-keys.json")
_FORMAT_VERSION = 1
_PREFIX = "atelier_"  # so that whoever searches a repository for lost secrets finds one
_MAX_KEY_LENGTH = 256
_MAX_FILE_BYTES = 2**20
_PERSON = b"atelier-key"  # of BLAKE2: a digest from here is of no use elsewhere
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_log = logging.getLogger(__name__)

# pydantic's regular expressions take $ for the very end, not for a newline before it.
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]


class Key(Strict):
    """What is kept of one key.

    Attributes:
        name: of whoever holds it.
        salt: 16 random bytes, in hex.
        digest: BLAKE2b of the key with that salt, 32 bytes in hex.
        created: when, in UTC.
        expires: from when on it is refused; None is never.
    """

    name: Annotated[str, Field(pattern=rf"^{_NAME.pattern}$")]
    salt: Annotated[Hex, Field(min_length=32, max_length=32)]
    digest: Annotated[Hex, Field(min_length=64, max_length=64)]
    created: AwareDatetime
    expires: AwareDatetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether the key is refused at `now`."""
        return self.expires is not None and self.expires <= now


class _File(Strict):
    format_version: int = Field(_FORMAT_VERSION, ge=_FORMAT_VERSION, le=_FORMAT_VERSION)
    keys: tuple[Key, ...] = ()


def read_keys(path: str | Path) -> tuple[Key, ...]:
    """The keys of the file at `path`.

    Raises:
        ConfigError: missing, not to be read, open to everybody's writing, or not a key file.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a file of keys")
        if status.st_mode & stat.S_IWOTH:
            raise ConfigError(
                f"anybody on this machine may write to {path}, and so add a key",
                fix=f"Run `chmod 600 {path}`",
            )
        if status.st_size > _MAX_FILE_BYTES:
            raise ConfigError(f"{path} is too large for a file of keys")
        keys = _File.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no file of keys at {path}",
            fix=f"Make one: `atelier keys add NAME --file {path}`",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot read the keys in {path}: {error.strerror or error}") from error
    except ValidationError as error:
        raise ConfigError(
            f"{path} is not a file of keys, or a damaged one",
            fix="Make a new one with `atelier keys add NAME`",
        ) from error
    names = [key.name for key in keys]
    if len(set(names)) < len(names):
        raise ConfigError(f"{path} has two keys of one name", fix="Remove one of them by hand")
    return keys


def add_key(path: str | Path, name: str, *, expires: str | None = None) -> tuple[str, Key]:
    """Make a key and keep its digest; the file, for its owner alone, is made where there is none.

    Args:
        path: of the file of keys.
        name: of whoever will hold the key: letters, digits and ``._@-``, up to 64.
        expires: how long it is good, as ``12h``, ``90d`` or ``4w``; None is for ever.

    Returns:
        The key itself, which is kept nowhere, and what was kept of it.

    Raises:
        ConfigError: a name that is taken or no name, a time that is none, a damaged file.
        StorageError: no space, or no permission.
    """
    path = Path(path)
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            "that is no name for a key", got=name, allowed="letters, digits and ._@-, up to 64"
        )
    keys = read_keys(path) if path.exists() else ()
    if any(key.name == name for key in keys):
        raise ConfigError(
            f"there is a key {name!r} already, and a key cannot be shown again",
            fix=f"Choose another name, or remove it first: `atelier keys remove {name}`",
        )
    now = datetime.now(UTC).replace(microsecond=0)
    until = now + _duration(expires) if expires is not None else None
    key = _PREFIX + secrets.token_urlsafe(32)
    salt = secrets.token_bytes(16)
    entry = Key(
        name=name,
        salt=salt.hex(),
        digest=_digest(key.encode(), salt).hex(),
        created=now,
        expires=until,
    )
    _write(path, (*keys, entry))
    return key, entry


def remove_key(path: str | Path, name: str) -> None:
    """Forget a key; running services refuse it from their next request on.

    Raises:
        ConfigError: no such key, or no file of keys.
        StorageError: no space, or no permission.
    """
    path = Path(path)
    keys = read_keys(path)
    rest = tuple(key for key in keys if key.name != name)
    if len(rest) == len(keys):
        names = [key.name for key in keys]
        hint = did_you_mean(name, names) if names else "It has none"
        raise ConfigError(f"{path} has no key {name!r}", fix=hint)
    _write(path, rest)


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    with atomic_path(path, private=True) as temporary:
        temporary.write_text(_File(keys=keys).model_dump_json(indent=2) + "\n", encoding="utf-8")


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([1-9][0-9]{0,3})([hdw])", text)
    if found is None:
        raise ConfigError("that is no time for a key to expire", got=text, allowed="12h, 90d, 4w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _digest(key: bytes, salt: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32, salt=salt, person=_PERSON).digest()


class KeyFile:
    """The keys that a service accepts: those of a file, read again whenever it changes.

    A file that is damaged or gone while the service runs leaves the last good keys in force, and
    the log says so. No longer accepting anybody would turn a slip into an outage, and accepting
    everybody would be worse.

    Raises:
        ConfigError: as `read_keys`, or no key that is still good.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._seen = self._status()
        self._keys = self._parsed(read_keys(self.path))
        now = datetime.now(UTC)
        if all(key.expired(now) for key, _, _ in self._keys):
            raise ConfigError(
                f"{self.path} has no key that is still good, so nobody could come in",
                fix=f"Add one: `atelier keys add NAME --file {self.path}`",
            )

    def holder(self, key: str) -> str | None:
        """The name of whoever holds `key`, or None where it is not accepted (any more).

        Every entry is looked at, each in constant time: the time tells nothing of the keys.
        """
        self._read_again()
        if not 0 < len(key) <= _MAX_KEY_LENGTH:
            return None
        given = key.encode("utf-8", "surrogatepass")
        now = datetime.now(UTC)
        found: str | None = None
        for entry, salt, digest in self._keys:
            same = hmac.compare_digest(_digest(given, salt), digest)
            if same and not entry.expired(now):
                found = entry.name
        return found

    def _read_again(self) -> None:
        status = self._status()
        if status == self._seen:
            return
        self._seen = status
        try:
            self._keys = self._parsed(read_keys(self.path))
        except ConfigError as error:
            _log.error("the keys as they were last read stay in force: %s", error)
        else:
            _log.info("%d keys read again from %s", len(self._keys), self.path)

    def _status(self) -> tuple[int, int, int, int] | None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - at every request: no Path made
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode

    @staticmethod
    def _parsed(keys: tuple[Key, ...]) -> list[tuple[Key, bytes, bytes]]:
        return [(key, bytes.fromhex(key.salt), bytes.fromhex(key.digest)) for key in keys]
