"""The dashboard over HTTP: what it answers, and whom it does not."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import pytest

from atelier.dashboard.app import HEADERS
from tests.dashboard.conftest import ODD


def get(address, path, *, method="GET", **headers):
    """Status, headers and body of a request."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address.rstrip("/") + path, method=method, headers=names)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.mark.parametrize("path", ["/", "/page.js", "/plotly.js", "/api/runs", "/nothing"])
def test_every_answer_has_the_policy(address, path):
    _, headers, _ = get(address, path)
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert "unsafe-eval" not in headers["content-security-policy"]
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/page.html",
        "/browser/page.html",
        "/page.html",
        "/plotly.js/../../x",
        "/api",
        "/docs",
        "/openapi.json",
    ],
)
def test_only_the_page_and_its_questions_are_there(address, path):
    assert get(address, path)[0] == 404


@pytest.mark.parametrize("run", ["..", "/etc/passwd", "../../x", "deeper", "http://127.0.0.1/", ""])
@pytest.mark.parametrize("what", ["confusion", "cell", "thresholds", "curves"])
def test_no_name_of_a_run_is_a_path(address, run, what):
    get(address, "/api/runs")
    status, _, body = get(address, f"/api/{what}?{urllib.parse.urlencode({'run': run})}")
    assert status == 422
    assert json.loads(body)["problem"]


def test_a_run_is_found_by_its_odd_name(address):
    get(address, "/api/runs")
    query = urllib.parse.urlencode({"run": f"deeper/{ODD}"})
    status, _, body = get(address, f"/api/curves?{query}")
    assert status == 200
    assert list(json.loads(body)["curves"]) == [f"deeper/{ODD}"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
    ],
    ids=str,
)
def test_pages_elsewhere_get_nothing(address, headers, status):
    assert get(address, "/api/runs", **headers)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(address, method):
    assert get(address, "/api/runs", method=method)[0] == 405


@pytest.mark.parametrize(
    "query", ["part=train", "true=-1", "true=x", "start=1e9", "predicted=9999999999"]
)
def test_odd_questions_are_refused(address, query):
    get(address, "/api/runs")
    assert get(address, f"/api/cell?run=mlp-lr0.001-s0&{query}")[0] == 422
    assert get(address, "/api/curves?" + "run=x&" * 5000)[0] == 414


def test_the_command_serves_until_it_is_stopped(runs):
    words = [sys.executable, "-m", "atelier.cli", "dashboard", str(runs), "--port", "0"]
    with subprocess.Popen(
        [*words, "--no-browser"], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        line = process.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        status, _, body = get(address, "/")
        assert status == 200
        assert b"/page.js" in body
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_bad_words_are_refused(refused, runs, tmp_path):
    assert "no folder of runs" in refused("dashboard", tmp_path / "none", "--no-browser")
    assert "0 to 65535" in refused("dashboard", runs, "--port", "70000", "--no-browser")


def test_a_taken_port_is_said(refused, runs):
    from atelier.dashboard.entry import listen

    with listen(0) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in refused("dashboard", runs, "--port", port, "--no-browser")
