"""The files for Prometheus and Grafana, read by the programs that will read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from prometheus_client.parser import text_string_to_metric_families

from atelier.errors import StorageError
from atelier.monitoring import ServiceMetrics, provision


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "provision"
    paths = provision(folder)
    assert sorted(folder.iterdir()) == sorted(paths)
    return folder


@pytest.fixture
def promtool() -> Callable[..., str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool, which comes with Prometheus, is not installed")

    def promtool(*words: object, given: str | None = None) -> str:
        done = subprocess.run(
            [program, *map(str, words)],
            input=given, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return promtool


def busy() -> str:
    """What a service shows that has seen everything once."""
    metrics = ServiceMetrics()
    metrics.stage("total", 1)
    metrics.batch("m", 1)
    metrics.queued("m", 1)
    metrics.request("/v1/predict", 200)
    metrics.refused("x")
    metrics.answered("m", "1", "Bag", 0.5, True)
    metrics.feedback("m", True)
    metrics.model_loaded("m", "1")
    return metrics.render()[0].decode()


def known() -> dict[str, set[str]]:
    """Every sample that a service shows, with its labels."""
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for family in text_string_to_metric_families(busy()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def panels(files: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads((files / "grafana.json").read_text())["panels"]


def expressions(files: Path) -> list[str]:
    found = [target["expr"] for panel in panels(files) for target in panel.get("targets", ())]
    assert len(found) > 20
    return found


def check_names(expression: str) -> None:
    """Metrics and their labels must be those of a service."""
    names = known()
    for name, labels in re.findall(r"\b((?:atelier|process)_\w+|up)\b(?:\{([^}]*)\})?", expression):
        assert name in names, name
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels):
            assert label in names[name] | {"job", "instance"}, f"{name} has no label {label}"


def test_every_panel_asks_for_metrics_that_exist(files: Path) -> None:
    for expression in expressions(files):
        check_names(expression)


def test_every_alert_asks_for_metrics_that_exist(files: Path) -> None:
    check_names((files / "alerts.yml").read_text())


def test_no_metric_of_a_service_is_left_unseen(files: Path) -> None:
    shown = " ".join(expressions(files))
    for name in known():
        family = re.sub(r"_(bucket|sum|count|total)$", "", name)
        if name.startswith("atelier_"):
            assert family in shown, name


def test_every_query_of_a_panel_can_be_parsed(
    files: Path, tmp_path: Path, promtool: Callable[..., str]
) -> None:
    lines = ["groups:", "- name: panels", "  rules:"]
    for number, expression in enumerate(expressions(files)):
        expression = expression.replace("$__rate_interval", "5m")
        expression = re.sub(r"\$(job|model)", ".*", expression)
        lines += [f"  - record: panel:{number}", f"    expr: {json.dumps(expression)}"]
    rules = tmp_path / "panels.yml"
    rules.write_text("\n".join(lines))
    assert "SUCCESS" in promtool("check", "rules", rules)


def test_the_dashboard_can_be_imported(files: Path) -> None:
    board = json.loads((files / "grafana.json").read_text())
    assert board["id"] is None  # which the importing Grafana gives
    assert board["uid"]
    assert {"title", "panels", "templating", "schemaVersion", "time"} <= set(board)
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "job", "model"}
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"


def test_the_metrics_are_named_as_prometheus_wants(promtool: Callable[..., str]) -> None:
    promtool("check", "metrics", given=busy())


def test_rules_and_settings_are_sound(files: Path, promtool: Callable[..., str]) -> None:
    assert "12 rules found" in promtool("check", "rules", "--lint-fatal", files / "alerts.yml")
    promtool("check", "config", files / "prometheus.yml")


def test_the_alerts_sound_when_they_should(
    files: Path, tmp_path: Path, promtool: Callable[..., str]
) -> None:
    cases = Path(__file__).with_name("alerts_cases.yml")
    shutil.copy(cases, files / cases.name)
    assert "SUCCESS" in promtool("test", "rules", files / cases.name)
    tested = set(re.findall(r"alertname: (\w+)", cases.read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", (files / "alerts.yml").read_text()))


def test_nothing_is_overwritten_unasked(files: Path) -> None:
    (files / "alerts.yml").write_text("mine")
    with pytest.raises(StorageError, match="exists already"):
        provision(files)
    assert (files / "alerts.yml").read_text() == "mine"
    provision(files, overwrite=True)
    assert "AtelierDown" in (files / "alerts.yml").read_text()


def test_the_files_are_in_the_wheel(repository: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        check=True, capture_output=True, cwd=repository,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for name in ("grafana.json", "alerts.yml", "prometheus.yml"):
        assert f"atelier/monitoring/provisioning/{name}" in names
    assert "atelier/monitoring/templates/drift.html.j2" in names
    assert "atelier/drawing/templates/style.css" in names
