"""The API as clients see it, over loopback."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from atelier.exported import ExportedModel
from atelier.serving.settings import ServeSettings
from tests.serving.tiny_export import CLASSES, write_tiny_export
from tests.serving.wire import whole_service


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 100, (28, 28), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def encoded(*images: bytes) -> list[dict[str, str]]:
    return [{"data": base64.b64encode(image).decode()} for image in images]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny_export(folder / "tiny.onnx")
    write_tiny_export(folder / "other.onnx", seed=1)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> ExportedModel:
    return ExportedModel(folder / "tiny.onnx")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    settings = ServeSettings(
        models={"tiny": folder / "tiny.onnx", "other": folder / "other.onnx"},
        port=0,
        page=False,
        log=f"sqlite:///{folder}/log.sqlite",
        log_wait_ms=1000.0,
    )
    with (
        whole_service(settings) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=20) as client,
    ):
        yield client


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"urn:atelier:problem:{kind}"
    assert told["status"] == status
    assert told["request_id"] == answer.headers["x-request-id"]
    return told


def test_one_image_as_it_is(client: httpx.Client, model: ExportedModel) -> None:
    answer = client.post(
        "/v1/predict",
        content=picture(),
        headers={"content-type": "image/png", "x-request-id": "my-own-id-1"},
    )
    assert answer.status_code == 200
    told = answer.json()
    (probs,) = model.answer(model.read(picture()).pixels[None]).probs
    ranked = np.argsort(-probs)
    assert told == {
        "request_id": "my-own-id-1",
        "model": {"name": "tiny", "version": model.version},
        "predictions": [
            {
                "index": 0,
                "classes": [
                    {
                        "class": CLASSES[place],
                        "probability": pytest.approx(float(probs[place]), abs=1e-6),
                    }
                    for place in ranked
                ],
                "unknown": False,
                "inverted": False,
            }
        ],
        "logged": True,
    }
    assert answer.headers["x-request-id"] == "my-own-id-1"


def test_all_ways_to_send_images_give_the_same_answers(client: httpx.Client) -> None:
    images = [picture(0), picture(1)]
    form = client.post(
        "/v1/predict",
        files=[("images", image) for image in images],
        data={"top_k": "2", "model": "other"},
    ).json()
    body = {"images": encoded(*images), "top_k": 2, "model": "other"}
    in_json = client.post("/v1/predict", json=body).json()
    single = [
        client.post(
            "/v1/predict?top_k=2&model=other", content=image, headers={"content-type": "image/png"}
        ).json()["predictions"][0]
        for image in images
    ]
    assert form["predictions"] == in_json["predictions"]
    assert form["predictions"] == [{**each, "index": at} for at, each in enumerate(single)]
    assert form["model"]["name"] == "other"
    assert [len(each["classes"]) for each in form["predictions"]] == [2, 2]


def test_the_others_are_answered_where_one_image_is_bad(client: httpx.Client) -> None:
    answer = client.post("/v1/predict", json={"images": encoded(picture(), b"no image")})
    assert answer.status_code == 200
    good, bad = answer.json()["predictions"]
    assert good["classes"]
    assert "problem" not in good
    assert set(bad) == {"index", "problem"}
    assert bad["problem"]["status"] == 415
    assert answer.json()["logged"] is True


def test_where_no_image_is_good_that_is_the_answer(client: httpx.Client) -> None:
    headers = {"content-type": "image/png"}
    problem(
        client.post("/v1/predict", content=picture()[:70], headers=headers),
        422,
        "unreadable-image",
    )
    problem(client.post("/v1/predict", content=b"", headers=headers), 422, "unreadable-image")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"images": []}, ["body", "images"]),
        ({}, ["body", "images"]),
        ({"images": [{}]}, ["body", "images", 0, "data"]),
        ({"images": [{"data": "%%%"}]}, ["body", "images", 0, "data"]),
        ({"images": [{"data": "aGVs\nbG8="}]}, ["body", "images", 0, "data"]),
        ({"images": [{"data": "data:image/png;base64,aGVsbG8="}]}, ["body", "images", 0, "data"]),
        ({"images": [{"data": "aGVsbG8=", "url": "http://a"}]}, ["body", "images", 0, "url"]),
        ({"images": encoded(b"x"), "top_k": 0}, ["body", "top_k"]),
        ({"images": encoded(b"x"), "top_k": "3"}, ["body", "top_k"]),
        ({"images": encoded(b"x"), "top_k": 1001}, ["body", "top_k"]),
        ({"images": encoded(b"x"), "model": "../x"}, ["body", "model"]),
        ({"images": encoded(b"x"), "path": "/etc/passwd"}, ["body", "path"]),
    ],
)
def test_json_is_read_strictly(client: httpx.Client, body: Any, where: list[Any]) -> None:
    told = problem(client.post("/v1/predict", json=body), 422, "invalid-request")
    assert told["errors"][0]["where"] == where
    assert "passwd" not in str(told["errors"])


@pytest.mark.parametrize(
    "fields", [{"top_k": "0"}, {"top_k": "three"}, {"model": "a b"}, {"url": "http://a"}]
)
def test_forms_and_queries_are_read_as_strictly(
    client: httpx.Client, fields: dict[str, str]
) -> None:
    headers = {"content-type": "image/png"}
    for answer in (
        client.post("/v1/predict", files={"images": picture()}, data=fields),
        client.post("/v1/predict", content=picture(), headers=headers, params=fields),
    ):
        told = problem(answer, 422, "invalid-request")
        assert told["errors"][0]["where"][1:] == list(fields)


def test_a_field_is_given_once(client: httpx.Client) -> None:
    answer = client.post("/v1/predict?top_k=1", json={"images": encoded(picture()), "top_k": 1})
    problem(answer, 422, "invalid-request")
    twice = "/v1/predict?top_k=1&top_k=2"
    headers = {"content-type": "image/png"}
    problem(client.post(twice, content=picture(), headers=headers), 422, "invalid-request")


def test_what_cannot_be_read_at_all(client: httpx.Client) -> None:
    json_type = {"content-type": "application/json"}
    form_type = {"content-type": "multipart/form-data; boundary=xx"}
    problem(client.post("/v1/predict", content=b"{", headers=json_type), 400, "malformed-body")
    deep = b'{"images":' + b"[" * 50 + b"]" * 50 + b"}"
    problem(client.post("/v1/predict", content=deep, headers=json_type), 422, "invalid-request")
    problem(client.post("/v1/predict", content=b"--x", headers=form_type), 400, "malformed-body")
    bare = {"content-type": "multipart/form-data"}
    problem(client.post("/v1/predict", content=b"--x", headers=bare), 400, "malformed-body")
    for headers in ({"content-type": "text/plain"}, {}):
        answer = client.post("/v1/predict", content=b"x", headers=headers)
        problem(answer, 415, "unsupported-media-type")
        assert "image/png" in answer.headers["accept-post"]


def test_too_many_images(client: httpx.Client) -> None:
    body = {"images": encoded(*[b"x"] * 65)}
    problem(client.post("/v1/predict", json=body), 413, "body-too-large")
    files = [("images", b"x")] * 65
    problem(client.post("/v1/predict", files=files), 413, "body-too-large")


def test_a_model_that_there_is_not(client: httpx.Client) -> None:
    answer = client.post("/v1/predict", json={"images": encoded(picture()), "model": "tinny"})
    assert "tiny" in problem(answer, 404, "unknown-model")["detail"]


def test_embeddings_are_exact(client: httpx.Client, model: ExportedModel) -> None:
    answer = client.post("/v1/embed", json={"images": encoded(picture(3), b"bad")})
    good, bad = answer.json()["embeddings"]
    (expected,) = model.answer(model.read(picture(3)).pixels[None]).embedding
    assert np.array_equal(np.array(good["embedding"], np.float32), expected)
    assert bad["problem"]["status"] == 415
    refused = client.post("/v1/embed", json={"images": encoded(picture()), "top_k": 1})
    problem(refused, 422, "invalid-request")


def test_feedback_and_deletion(client: httpx.Client) -> None:
    sent = {"images": encoded(picture(), picture(1))}
    request_id = client.post("/v1/predict", json=sent).json()["request_id"]
    told = {"request_id": request_id, "image_index": 1, "label": "Coat"}
    assert client.post("/v1/feedback", json=told).json() == {
        "request_id": request_id,
        "image_index": 1,
        "noted": True,
    }
    wrong = client.post("/v1/feedback", json={**told, "label": "Coats"})
    problem(wrong, 422, "invalid-request")
    problem(client.post("/v1/feedback", json={**told, "image_index": 2}), 404, "unknown-prediction")
    address = f"/v1/predictions/{request_id}"
    assert client.delete(address).json() == {"request_id": request_id, "deleted": 2}
    problem(client.delete(address), 404, "unknown-prediction")
    problem(client.post("/v1/feedback", json=told), 404, "unknown-prediction")
    problem(client.delete("/v1/predictions/a"), 422, "invalid-request")


def test_the_models_are_listed(client: httpx.Client, model: ExportedModel) -> None:
    first, second = client.get("/v1/models").json()["models"]
    assert (first["name"], first["default"], first["version"]) == ("tiny", True, model.version)
    assert first["classes"] == list(CLASSES)
    assert first["image_shape"] == [1, 28, 28]
    assert first["refused_file"] is False
    assert (second["name"], second["default"]) == ("other", False)


def test_how_the_service_is(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_what_happens_is_counted(client: httpx.Client) -> None:
    client.post("/v1/predict", json={"images": encoded(picture())})
    client.post("/v1/predict", json={})
    text = client.get("/metrics").text
    for line in (
        'atelier_requests_total{route="/v1/predict",status="200"}',
        'atelier_requests_total{route="/v1/predict",status="422"}',
        'atelier_stage_seconds_count{stage="total"}',
        'atelier_batch_images_count{model="tiny"}',
        'atelier_queue_images{model="tiny"} 0.0',
    ):
        assert line in text


def test_other_addresses_and_methods(client: httpx.Client) -> None:
    problem(client.get("/v1/nothing"), 404, "not-found")
    for address, method in (("/v1/predict", "POST"), ("/v1/models", "GET")):
        answer = client.request("PATCH", address)
        problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == method


def test_the_description_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    description = client.get("/openapi.json").json()
    assert description["openapi"].startswith("3.1")
    for path in description["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert operation["description"]
            assert {"200", "405", "500", "503"} <= set(operation["responses"])
    content = description["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "application/json", "image/png"} <= set(content)
    for address in ("/docs", "/redoc"):
        assert client.get(address).status_code == 404


def test_without_a_log_there_is_nothing_to_tell_it(folder: Path) -> None:
    settings = ServeSettings(models={"tiny": folder / "tiny.onnx"}, port=0, page=False, log=None)
    with (
        whole_service(settings) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}", timeout=20) as client,
    ):
        told = client.post("/v1/predict", json={"images": encoded(picture())}).json()
        assert told["logged"] is False
        told = {"request_id": told["request_id"], "label": "Coat"}
        problem(client.post("/v1/feedback", json=told), 404, "unknown-prediction")
