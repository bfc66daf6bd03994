"""The service does what its OpenAPI description says, whatever is sent to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from atelier.serving.keys import add_key
from atelier.serving.limits import Limits
from atelier.serving.settings import ServeSettings
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import get, talk, whole_service

OPERATIONS = {
    "/v1/predict": {"post"},
    "/v1/embed": {"post"},
    "/v1/feedback": {"post"},
    "/v1/predictions/{request_id}": {"delete"},
    "/v1/models": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}
# A description cannot say which bytes are an image, so good data may be refused. Too many images
# are a 413, which the tool does not count as a refusal by itself.
CONFIG = """
[checks.positive_data_acceptance]
enabled = false

[checks.negative_data_rejection]
expected-statuses = ["4xx"]
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, str]]:
    """A service that asks for a key: its address and the key."""
    folder = tmp_path_factory.mktemp("service")
    key, _ = add_key(folder / "keys.json", "tests")
    told = ServeSettings(
        models={"tiny": write_tiny_export(folder / "tiny.onnx")},
        port=0,
        workers=1,
        log=f"sqlite:///{folder}/log.sqlite",
        keys_file=folder / "keys.json",
        limits=Limits(rate_per_s=0.0),
    )
    with whole_service(told) as (host, port):
        yield host, port, key


def test_every_address_is_described(service: tuple[str, int, str]) -> None:
    host, port, key = service
    answer = talk((host, port), get("/openapi.json", f"X-API-Key: {key}"))
    description = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert {path: set(item) for path, item in description["paths"].items()} == OPERATIONS


def test_the_description_is_kept(service: tuple[str, int, str], tmp_path: Path) -> None:
    """Examples, every bound of every field, and random data; keys that are left out or wrong."""
    host, port, key = service
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
            f"http://{host}:{port}/openapi.json",
            *("--header", f"Authorization: Bearer {key}"),
            *("--max-examples", "25", "--generation-deterministic", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "Tested: 8" in done.stdout
