"""Where to track: ``mlflow``, or ``mlflow:URI``."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from ..errors import ConfigError
from ..extras import require

_DEFAULT = "sqlite:///runs/mlflow.db"
_ALLOWED = "mlflow, mlflow:sqlite:///FILE, mlflow:http://HOST:PORT or mlflow:postgresql://..."
_SQL = ("sqlite", "postgresql", "mysql", "mssql")
_SERVERS = ("http", "https", "databricks")


@dataclass(frozen=True)
class Target:
    """An MLflow that takes runs.

    Attributes:
        uri: MLflow's tracking URI; a file of SQLite by its absolute path.
    """

    uri: str

    @property
    def shown(self) -> str:
        """The URI without user and password."""
        parts = urlsplit(self.uri)
        if "@" not in parts.netloc:
            return self.uri
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    @property
    def file(self) -> Path | None:
        """The database's file, where it is one."""
        return Path(self.uri.removeprefix("sqlite:///")) if self.uri[:7] == "sqlite:" else None

    @property
    def artifacts(self) -> str | None:
        """Where a new experiment keeps its files: beside the database; None for a server, which
        knows for itself."""
        if urlsplit(self.uri).scheme in _SERVERS:
            return None
        home = Path("runs") if self.file is None else self.file.parent
        return (home / "mlflow-artifacts").resolve().as_uri()

    @property
    def page(self) -> str:
        """How to look at it."""
        if urlsplit(self.uri).scheme.startswith("http"):
            return self.shown
        return f"mlflow ui --backend-store-uri {self.shown}"


def target_of(text: str) -> Target:
    """The target that ``--track`` and ``--to`` name.

    Args:
        text: ``mlflow`` for ``$MLFLOW_TRACKING_URI`` or else ``sqlite:///runs/mlflow.db``, or
            ``mlflow:URI``.

    Raises:
        ConfigError: not such a name or URI.
        ExtraError: mlflow is not installed.
    """
    kind, separator, uri = text.partition(":")
    if kind != "mlflow" or (separator and not uri):
        raise ConfigError("unknown tracker", got=text, allowed=_ALLOWED)
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or _DEFAULT
    try:
        scheme = urlsplit(uri).scheme.partition("+")[0]
    except ValueError:
        scheme = ""
    if scheme not in (*_SQL, *_SERVERS) or (scheme == "sqlite" and uri[:10] != "sqlite:///"):
        # Never the address itself, for a password may stand in it.
        raise ConfigError("this is no address of an MLflow", got=scheme or None, allowed=_ALLOWED)
    # Looked for and not imported: that takes seconds, of another process.
    if importlib.util.find_spec("mlflow") is None:
        require("mlflow")
    target = Target(uri)
    if target.file is not None:
        target = Target(f"sqlite:///{target.file.absolute()}")
    return target
