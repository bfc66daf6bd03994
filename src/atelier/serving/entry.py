"""The public function of this package: from runs and exports to a service that listens."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import ValidationError

from ..errors import AtelierError, ConfigError, did_you_mean
from ..exported.seal import read_sealed
from ..extras import require
from .binding import refuse_open_door
from .keys import KeyFile
from .limits import Limits
from .settings import MODEL_NAME, ServeSettings

if TYPE_CHECKING:
    from ..runs import Run
    from .service import Service

Servable: TypeAlias = "Run | str | os.PathLike[str]"
_NEEDED = ("fastapi", "uvicorn", "httptools", "prometheus_client", "onnxruntime")


def serve(
    models: Servable | Sequence[Servable] | Mapping[str, Servable],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    progress: bool = False,
    **options: Any,
) -> None:
    """Serve models until the process is told to stop (SIGTERM, Ctrl-C).

    Args:
        models: runs, exports, or paths of them, by name or to be named as their files are; the
            first answers where a client names none. A run is exported first if it has no export of
            its weights yet. The files are watched: a new one takes the old one's place.
        host: the address to listen at; others than this machine's own need keys.
        port: the port to listen at; 0 is any that is free.
        progress: show a bar on standard error while a run is exported.
        options: more fields of `ServeSettings`.

    Raises:
        ConfigError: an option is unknown or out of range, the port is taken, or others could reach
            the service and it has no keys.
        ExportError: a file is missing, damaged or no export, or a run's export is not like the run.
        RunError: a run folder cannot be used.
        LogError: the prediction log cannot be used.
        ExtraError: a library is not installed.
    """
    for module in _NEEDED:
        require(module, extra="serve")
    from .app import create_app
    from .server import Server, listen, run
    from .service import Service

    paths = exports_of(models, progress=progress)
    settings = make_settings(models=paths, host=host, port=port, **options)
    refuse_open_door(settings.host, settings.keys_file)
    # What is wrong with files is said before a log is made for nothing.
    if settings.keys_file is not None:
        KeyFile(settings.keys_file)
    for path in settings.models.values():
        read_sealed(path)
    # Before the models are loaded, which takes longer, and so that no log is opened for nothing.
    listener = listen(settings.host, settings.port)
    try:
        service = Service(settings)
        app = create_app(settings, service)
        service.load()
        address = _address(settings.host, listener.getsockname()[1])
        run(Server(app, service, settings, lambda: _announce(service, address)), listener)
    finally:
        listener.close()


def make_settings(**options: Any) -> ServeSettings:
    """Settings of options.

    Raises:
        ConfigError: one is unknown or out of range.
    """
    try:
        return ServeSettings(**options)
    except ValidationError as error:
        raise _told(error) from error


def limits_of(words: Sequence[str]) -> Limits:
    """Limits of words such as ``max_images=16``.

    Raises:
        ConfigError: there is no such limit, or the value does not fit.
    """
    given: dict[str, Any] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in Limits.model_fields:
            near = did_you_mean(name, Limits.model_fields)
            raise ConfigError(f"no limit is called {name!r}", fix=near)
        given[name] = text
        with suppress(ValueError):
            given[name] = json.loads(text)
    try:
        return Limits.model_validate_json(json.dumps(given))
    except ValidationError as error:
        raise _told(error, "limits.") from error


def exports_of(
    models: Servable | Sequence[Servable] | Mapping[str, Servable], *, progress: bool = False
) -> dict[str, Path]:
    """Paths of exports by name; what is not exported yet is exported.

    Raises:
        ConfigError: two have one name, or there is none.
        AtelierError: as `serve`.
    """
    if isinstance(models, Mapping):
        return {name: _export_of(model, progress=progress) for name, model in models.items()}
    if isinstance(models, str) or not isinstance(models, Sequence):
        models = [models]
    paths: dict[str, Path] = {}
    for model in models:
        name, equals, rest = model.partition("=") if isinstance(model, str) else ("", "", "")
        if equals and MODEL_NAME.fullmatch(name):
            given = Path(rest)
        else:
            given = _path_of(model)
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", given.resolve().stem).strip("-._")[:64]
            name = name or "model"
        if name in paths:
            raise ConfigError(
                f"two models have the name {name!r}", fix=f"Give one another: {name}-2={given}"
            )
        paths[name] = _export_of(given, progress=progress)
    return paths


def _told(error: ValidationError, prefix: str = "") -> ConfigError:
    first = error.errors()[0]
    place = prefix + ".".join(map(str, first["loc"]))
    return ConfigError(f"{place}: {first['msg'].removeprefix('Value error, ')}", got=first["input"])


def _path_of(model: Servable) -> Path:
    return Path(model) if isinstance(model, (str, os.PathLike)) else model.path


def _export_of(model: Servable, *, progress: bool) -> Path:
    path = _path_of(model)
    if not path.is_dir():
        return path  # whatever is wrong with it, loading it will say
    exported = path / "exports" / f"{path.resolve().name}.onnx"
    if _is_current(exported, path / "model.safetensors"):
        return exported
    require("torch", extra="export")
    from ..exporting import export

    # What stands there is of other weights, or damaged.
    return export(path, out=exported, overwrite=True, progress=progress).path


def _is_current(exported: Path, weights: Path) -> bool:
    """Whether an export is there and of these weights."""
    try:
        card = read_sealed(exported).card
        with weights.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == card.weights_sha256
    except (AtelierError, OSError):
        return False


def _address(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"http://{shown}:{port}"


def _announce(service: Service, address: str) -> None:
    lines = [f"listening at {address}"]
    lines += [
        f"model: {served.name}, version {served.version}, from {served.model.path}"
        for served in service.models.served
    ]
    if service.settings.page:
        lines.append(f"page: {address}/")
    lines.append(f"API: {address}/v1/predict, described in {address}/openapi.json")
    lines.append(f"log: {'none' if service.log is None else service.log.name}")
    lines.append("stop: Ctrl-C or SIGTERM; what was accepted is answered first")
    print("\n".join(lines), flush=True)
