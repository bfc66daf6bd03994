"""What a service is told before it starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from ..config.strict import Strict
from .limits import Limits

DEFAULT_LOG = "sqlite:///runs/served/predictions.sqlite"
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ServeSettings(Strict):
    """The settings of a service.

    Attributes:
        models: exported models by the names that clients use; the first answers where a client
            names none. Each file is watched: a new version there takes the old one's place.
        host: the address to listen at.
        port: the port to listen at; 0 is any that is free.
        workers: threads that run models, each pinned to a core where there are several; None is
            one for each core.
        max_batch: images that a model is given at once.
        max_delay_ms: how long a batch that is not full waits for images that are being decoded.
            It never waits for requests that nobody has made yet.
        queue_size: images that may wait for a worker. Above it requests are refused at once (503).
        deadline_ms: from a request's arrival; what has not reached a model by then is refused (503)
            and not computed.
        stop_timeout_s: how long a stop waits for the requests that were accepted.
        watch_s: how often the files of the models are looked at.
        log: the URL of the prediction log, as SQLAlchemy writes it; None keeps none.
        log_wait_ms: how long an answer waits for its row in the log. After it the answer says that
            it was not logged; the row is still written where it can be.
        log_embeddings: keep what the model saw of each image, which tests of drift need.
        log_retention_days: how long a prediction is kept; None is for ever.
        page: whether there is a page for people.
        keys_file: of the keys that are accepted; None asks for none.
        open_metrics: whether /metrics needs no key, for a Prometheus that has none.
        host_names: more names by which clients may call the service in the Host header.
        limits: of what one client may ask.
    """

    models: dict[str, Path] = Field(min_length=1)
    host: str = Field("127.0.0.1", min_length=1, max_length=255)
    port: int = Field(8000, ge=0, le=65_535)
    workers: int | None = Field(None, ge=1, le=256)
    max_batch: int = Field(32, ge=1, le=4096)
    max_delay_ms: float = Field(2.0, ge=0, le=1000)
    queue_size: int = Field(256, ge=1, le=1_000_000)
    deadline_ms: float = Field(2000.0, gt=0, le=600_000)
    stop_timeout_s: float = Field(30.0, gt=0, le=3600)
    watch_s: float = Field(1.0, gt=0, le=3600)
    log: str | None = DEFAULT_LOG
    log_wait_ms: float = Field(20.0, ge=0, le=1000)
    log_embeddings: bool = True
    log_retention_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    page: bool = True
    keys_file: Path | None = None
    open_metrics: bool = False
    host_names: tuple[str, ...] = ()
    limits: Limits = Limits()

    @field_validator("models")
    @classmethod
    def _have_names(cls, models: dict[str, Path]) -> dict[str, Path]:
        for name in models:
            if MODEL_NAME.fullmatch(name) is None:
                raise ValueError(
                    f"{name!r} cannot be a model's name: letters, digits and ._- up to 64 can"
                )
        return models
