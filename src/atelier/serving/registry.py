"""The models of a service by name, and how a new version takes an old one's place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from ..errors import AtelierError, did_you_mean
from ..exported import ExportedModel
from .problems import Problem

_log = logging.getLogger(__name__)

_Stamp = tuple[int, int, int]


@dataclass(frozen=True, eq=False, slots=True)
class ServedModel:
    """One version of a model, ready to answer. Requests hold on to the one they were admitted with.

    Attributes:
        name: by which clients ask for it.
        model: the export.
        loaded: when it began to answer, in UTC.
    """

    name: str
    model: ExportedModel
    loaded: datetime

    @property
    def version(self) -> str:
        """Of the file: the beginning of its digest."""
        return self.model.version


class _Place:
    """A path at which a model lies, and what was last seen and loaded there."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.current: ServedModel | None = None
        self.stamp: _Stamp | None = None
        self.error: str | None = None


class Registry:
    """Models by name.

    `get` may be called from any thread; `load` and `refresh` from one thread at a time.

    Args:
        paths: of the exports by name; the first is the default.
        batch_sizes: with which a model is tried before it answers, so that no request pays for the
            first call, and a file that cannot answer never serves.
        on_loaded: told of every version that begins to answer.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        *,
        batch_sizes: Iterable[int] = (1,),
        on_loaded: Callable[[ServedModel], None] | None = None,
    ) -> None:
        self._places = {name: _Place(name, Path(path)) for name, path in paths.items()}
        self._default = next(iter(self._places))
        self._batch_sizes = tuple(batch_sizes)
        self._on_loaded = on_loaded

    def load(self) -> None:
        """Load every model that is not loaded yet.

        Raises:
            ExportError: a file is missing, damaged or no export.
        """
        for place in self._places.values():
            if place.current is None:
                place.stamp = _stamp_of(place.path)
                self._put(place, self._loaded(place))

    def get(self, name: str | None = None) -> ServedModel:
        """The version that now answers for `name`, or for the default.

        Raises:
            Problem: there is no model of this name.
        """
        place = self._places.get(self._default if name is None else name)
        if place is None:
            raise Problem("unknown-model", did_you_mean(str(name), self._places))
        if place.current is None:
            raise Problem("not-ready", "The models are still being loaded.")
        return place.current

    def refresh(self, *, again: bool = False) -> None:
        """Look at every file, and let a changed one that is sound take the old one's place.

        One that is not sound changes nothing but what `errors` says.

        Args:
            again: load every file, changed or not.
        """
        for place in self._places.values():
            stamp = _stamp_of(place.path)
            if stamp == place.stamp and not again:
                continue
            place.stamp = stamp
            try:
                new = self._loaded(place)
            except AtelierError as error:
                self._keep(place, str(error))
            except Exception:  # a model that cannot answer must not end the watch
                _log.exception("a new version of %s cannot answer", place.name)
                self._keep(place, "it cannot answer")
            else:
                if place.current is None or new.version != place.current.version:
                    self._put(place, new)
                place.error = None

    @property
    def default(self) -> str:
        """The name of the model that answers where a client names none."""
        return self._default

    @property
    def ready(self) -> bool:
        """Whether every model can answer."""
        return all(place.current is not None for place in self._places.values())

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The versions that answer now."""
        return tuple(place.current for place in self._places.values() if place.current is not None)

    @property
    def errors(self) -> dict[str, str]:
        """Why the file that now lies at a model's path does not answer, by the model's name."""
        return {
            name: place.error for name, place in self._places.items() if place.error is not None
        }

    def _loaded(self, place: _Place) -> ServedModel:
        model = ExportedModel(place.path, threads=1)
        for size in self._batch_sizes:
            model.answer(np.zeros((size, *model.image_shape), np.uint8))
        return ServedModel(place.name, model, datetime.now(UTC))

    def _put(self, place: _Place, new: ServedModel) -> None:
        old, place.current = place.current, new
        if old is None:
            _log.debug("%s answers with version %s", place.name, new.version)
        else:
            _log.info("%s: version %s follows %s", place.name, new.version, old.version)
        if self._on_loaded is not None:
            self._on_loaded(new)

    def _keep(self, place: _Place, reason: str) -> None:
        place.error = reason
        if place.current is not None:
            version = place.current.version
            _log.error("%s keeps version %s: %s", place.name, version, reason)


def _stamp_of(path: Path) -> _Stamp | None:
    """What changes whenever another file is put at `path` or this one is written to."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
