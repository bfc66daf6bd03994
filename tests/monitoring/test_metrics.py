from __future__ import annotations

import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families

from atelier.errors import ExtraError
from atelier.monitoring import ServiceMetrics


def samples(metrics: ServiceMetrics) -> dict[tuple[str, ...], float]:
    """Every sample as a scrape reads it: its name and the values of its labels."""
    text, kind = metrics.render()
    assert kind.startswith("text/plain")
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_what_is_told_is_shown() -> None:
    metrics = ServiceMetrics()
    metrics.stage("decode", 0.003)
    metrics.stage("total", 0.02)
    metrics.batch("shop", 8)
    metrics.queued("shop", 5)
    metrics.request("/v1/predict", 200)
    metrics.request("/v1/predict", 200)
    metrics.request("/v1/predict", 503)
    metrics.refused("queue full")
    metrics.answered("shop", "1", "Bag", 0.97, False)
    metrics.answered("shop", "1", "Coat", 0.3, True)
    metrics.feedback("shop", True)
    metrics.feedback("shop", False)
    metrics.model_loaded("shop", "1")
    metrics.log_written(7)
    metrics.log_lost(2)
    metrics.log_pending(lambda: 3)
    found = samples(metrics)
    expected: dict[tuple[str, ...], float] = {
        ("atelier_stage_seconds_count", "stage=decode"): 1,
        ("atelier_stage_seconds_bucket", "le=0.0025", "stage=decode"): 0,
        ("atelier_stage_seconds_bucket", "le=0.005", "stage=decode"): 1,
        ("atelier_batch_images_sum", "model=shop"): 8,
        ("atelier_queue_images", "model=shop"): 5,
        ("atelier_requests_total", "route=/v1/predict", "status=200"): 2,
        ("atelier_requests_total", "route=/v1/predict", "status=503"): 1,
        ("atelier_refusals_total", "reason=queue full"): 1,
        ("atelier_answers_total", "model=shop", "predicted=Bag", "version=1"): 1,
        ("atelier_answers_total", "model=shop", "predicted=Coat", "version=1"): 1,
        ("atelier_unknown_total", "model=shop", "version=1"): 1,
        ("atelier_confidence_count", "model=shop"): 2,
        ("atelier_feedback_total", "correct=true", "model=shop"): 1,
        ("atelier_feedback_total", "correct=false", "model=shop"): 1,
        ("atelier_model_info", "model=shop", "version=1"): 1,
        ("atelier_log_rows_written_total",): 7,
        ("atelier_log_rows_lost_total",): 2,
        ("atelier_log_rows_pending",): 3,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found[("process_resident_memory_bytes",)] > 0


def test_a_new_version_takes_the_place_of_the_old() -> None:
    metrics = ServiceMetrics()
    for version in ("1", "2", "2"):
        metrics.model_loaded("shop", version)
    shown = [key for key in samples(metrics) if key[0] == "atelier_model_info"]
    assert shown == [("atelier_model_info", "model=shop", "version=2")]


def test_series_stay_bounded_whatever_is_told() -> None:
    metrics = ServiceMetrics()
    for k in range(3_000):
        metrics.answered("shop", "1", f"class {k}", 0.5, False)
        metrics.request(f"/{k}", 404)
    found = samples(metrics)
    answers = {key: value for key, value in found.items() if key[0] == "atelier_answers_total"}
    requests = {key: value for key, value in found.items() if key[0] == "atelier_requests_total"}
    assert len(answers) <= 1_001
    assert len(requests) <= 1_001
    assert sum(answers.values()) == sum(requests.values()) == 3_000
    assert answers[("atelier_answers_total", "model=shop", "predicted=other", "version=other")] > 0


def test_two_services_count_apart() -> None:
    one, other = ServiceMetrics(), ServiceMetrics()
    one.log_lost(1)
    assert samples(other)[("atelier_log_rows_lost_total",)] == 0


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ExtraError, match=r"atelier\[monitor\]"):
        ServiceMetrics()


def test_a_service_loads_nothing_heavy_for_it() -> None:
    """The light part of the package brings none of the heavy libraries along."""
    import subprocess

    code = (
        "import sys, atelier.monitoring as m; m.ServiceMetrics();"
        "print([n for n in ('torch', 'scipy', 'matplotlib', 'sqlalchemy') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
