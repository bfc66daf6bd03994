"""The doors of the whole service: where it listens, and what is open to whom."""

from __future__ import annotations

import pytest

from atelier.serving.keys import add_key
from atelier.serving.settings import ServeSettings
from tests.serving.mangling import PNG
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import get, post, status_of, talk, whole_service


@pytest.fixture
def export(tmp_path):
    return write_tiny_export(tmp_path / "tiny.onnx")


def test_others_than_this_machine_need_keys(refused, export):
    for host in ("0.0.0.0", "::", "192.168.0.1"):
        line = refused("serve", export, "--host", host, "--port", 0)
        assert "atelier keys add NAME" in line
        assert "--keys" in line


def test_keys_that_are_not_there_start_nothing(refused, export, tmp_path):
    line = refused("serve", export, "--keys", tmp_path / "none.json", "--port", 0)
    assert "there is no file of keys" in line


def test_models_that_are_not_there_start_nothing(refused, export, tmp_path):
    assert "there is no file" in refused("serve", tmp_path / "none.onnx", "--port", 0)
    export.write_bytes(export.read_bytes()[:-1])
    assert refused("serve", export, "--port", 0)


@pytest.mark.parametrize("open_metrics", [False, True])
def test_who_gets_in_without_a_key(export, tmp_path, open_metrics):
    key, _ = add_key(tmp_path / "keys.json", "anna")
    told = ServeSettings(
        models={"tiny": export},
        port=0,
        workers=1,
        log=None,
        page=False,
        keys_file=tmp_path / "keys.json",
        open_metrics=open_metrics,
    )
    with whole_service(told) as address:

        def statuses(*lines: str) -> dict[str, int | None]:
            paths = ("/healthz", "/readyz", "/metrics", "/v1/models", "/openapi.json", "/")
            found = {path: status_of(talk(address, get(path, *lines))) for path in paths}
            judge = post("/v1/predict", PNG, "image/png", *lines)
            return {**found, "predict": status_of(talk(address, judge))}

        shut = dict.fromkeys(("/v1/models", "/openapi.json", "/", "predict"), 401)
        metrics = 200 if open_metrics else 401
        assert statuses() == {"/healthz": 200, "/readyz": 200, "/metrics": metrics, **shut}
        assert statuses("X-API-Key: wrong") == statuses()
        opened = statuses(f"X-API-Key: {key}")
        assert opened.pop("/") == 404  # there is no page here
        assert set(opened.values()) == {200}


def test_a_page_elsewhere_reaches_nothing(export):
    """Neither by its own name that points here, nor by a form or a script that posts."""
    told = ServeSettings(models={"tiny": export}, port=0, workers=1, log=None, page=False)
    with whole_service(told) as address:
        rebound = get("/v1/models").replace(b"Host: 127.0.0.1", b"Host: evil.example")
        assert status_of(talk(address, rebound)) == 421
        for line in ("Origin: https://evil.example", "Sec-Fetch-Site: cross-site"):
            assert status_of(talk(address, post("/v1/predict", PNG, "image/png", line))) == 403
            answer = talk(address, get("/v1/models", line))
            assert b"access-control-allow-origin" not in answer.lower()
        asked = get("/v1/predict", "Origin: https://evil.example").replace(b"GET", b"OPTIONS")
        assert b"access-control" not in talk(address, asked).lower()
