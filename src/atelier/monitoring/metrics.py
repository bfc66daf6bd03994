"""What a service counts and times, for Prometheus.

Every name is in `docs` of the metric itself and in the dashboard and the alert rules beside this
module; a test holds the three together. All counts are since the start of the process, as
Prometheus wants them: shares and rates are made by its queries.

The labels are bounded: no client can make a new series. What is called for each request looks its
series up in a dictionary, for that of the library takes a lock and a sort each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..extras import require

if TYPE_CHECKING:
    from prometheus_client.metrics import MetricWrapperBase

Stage = Literal["read", "decode", "queue", "model", "log", "total"]

# From a decoded thumbnail to a request that has waited for everything.
SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)

_MOST_SERIES = 500  # of one metric: beyond them everything is counted as "other"
_OTHER = "other"


class ServiceMetrics:
    """The metrics of one service, in a registry of their own. Every method may be called from any
    thread, costs a few microseconds, and never raises.

    Raises:
        AtelierError: prometheus-client is not installed.
    """

    def __init__(self) -> None:
        require("prometheus_client", extra="monitor")
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            PlatformCollector,
            ProcessCollector,
            disable_created_metrics,
        )

        # A series beside each count that nothing here asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        PlatformCollector(registry=own)

        self._stage = _Family(
            Histogram(
                "atelier_stage_seconds",
                "Time of a request in a stage: read, decode, queue, model, log; total is all.",
                ["stage"],
                buckets=SECONDS,
                registry=own,
            )
        )
        self._batch = _Family(
            Histogram(
                "atelier_batch_images",
                "Images in a batch that a model was given.",
                ["model"],
                buckets=BATCH_SIZES,
                registry=own,
            )
        )
        self._queued = _Family(
            Gauge("atelier_queue_images", "Images that wait for a model.", ["model"], registry=own)
        )
        self._requests = _Family(
            Counter(
                "atelier_requests",
                "Requests answered, by route and HTTP status.",
                ["route", "status"],
                registry=own,
            )
        )
        self._refused = _Family(
            Counter(
                "atelier_refusals",
                "Requests refused, by reason: a full queue, a wrong key, a limit.",
                ["reason"],
                registry=own,
            )
        )
        self._answers = _Family(
            Counter(
                "atelier_answers",
                "Images answered, by the likeliest class; unknown ones count by their best guess.",
                ["model", "version", "predicted"],
                registry=own,
            )
        )
        self._unknown = _Family(
            Counter(
                "atelier_unknown",
                "Images answered with unknown.",
                ["model", "version"],
                registry=own,
            )
        )
        self._confidence = _Family(
            Histogram(
                "atelier_confidence",
                "Calibrated probability of the likeliest class.",
                ["model"],
                buckets=CONFIDENCES,
                registry=own,
            )
        )
        self._feedback = _Family(
            Counter(
                "atelier_feedback",
                "Answers that a user has said the true class of, by whether they were right.",
                ["model", "correct"],
                registry=own,
            )
        )
        self._info = Gauge(
            "atelier_model_info",
            "1 for the version of a model that answers now.",
            ["model", "version"],
            registry=own,
        )
        self._versions: dict[str, str] = {}
        self._written = Counter(
            "atelier_log_rows_written", "Predictions that are in the log.", registry=own
        )
        self._lost = Counter(
            "atelier_log_rows_lost",
            "Predictions that were answered but are not in the log: it was full, slow or broken.",
            registry=own,
        )
        self._pending = Gauge(
            "atelier_log_rows_pending", "Predictions that wait to be logged.", registry=own
        )

    def stage(self, name: Stage, seconds: float) -> None:
        """Time that a request spent in a stage."""
        self._stage(name).observe(seconds)

    def batch(self, model: str, size: int) -> None:
        """A model was given a batch of `size` images."""
        self._batch(model).observe(size)

    def queued(self, model: str, depth: int) -> None:
        """So many images wait for a model now."""
        self._queued(model).set(depth)

    def request(self, route: str, status: int) -> None:
        """A request was answered.

        Args:
            route: the route's template, as ``/v1/predict``, never the path that a client sent.
            status: of HTTP.
        """
        self._requests(route, str(status)).inc()

    def refused(self, reason: str) -> None:
        """A request was refused; `reason` is one of a few fixed words."""
        self._refused(reason).inc()

    def answered(
        self, model: str, version: str, predicted: str, confidence: float, unknown: bool
    ) -> None:
        """An image was answered."""
        self._answers(model, version, predicted).inc()
        self._confidence(model).observe(confidence)
        # Made for every version, so that a share of none is a zero and not a missing series.
        self._unknown(model, version).inc(unknown)

    def feedback(self, model: str, correct: bool) -> None:
        """The true class of an answer has become known."""
        self._feedback(model, "true" if correct else "false").inc()

    def model_loaded(self, model: str, version: str) -> None:
        """From now on this version answers for `model`."""
        old = self._versions.get(model)
        if old == version:
            return
        if old is not None:
            self._info.remove(model, old)
        self._versions[model] = version
        self._info.labels(model, version).set(1)

    def log_written(self, rows: int) -> None:
        """So many more predictions are in the log."""
        self._written.inc(rows)

    def log_lost(self, rows: int) -> None:
        """So many more predictions will never be in the log."""
        self._lost.inc(rows)

    def log_pending(self, rows: Callable[[], int]) -> None:
        """Ask `rows` at every scrape how many predictions wait to be logged."""
        self._pending.set_function(rows)

    def render(self) -> tuple[bytes, str]:
        """All of it in the text format of Prometheus, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Family:
    """The series of one metric by their labels, each looked up but once."""

    def __init__(self, metric: MetricWrapperBase) -> None:
        self._metric = metric
        self._series: dict[tuple[str, ...], Any] = {}

    def __call__(self, *labels: str) -> Any:
        found = self._series.get(labels)
        if found is None:
            if len(self._series) >= _MOST_SERIES:
                # The first label stays, for it tells models, routes and stages apart.
                labels = (*labels[:1], *[_OTHER] * (len(labels) - 1))
                if len(self._series) >= 2 * _MOST_SERIES:
                    labels = (_OTHER,) * len(labels)
            found = self._series[labels] = self._metric.labels(*labels)
        return found
