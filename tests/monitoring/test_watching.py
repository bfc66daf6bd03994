"""The verbs of monitoring on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from atelier.cli import application
from atelier.data import load_dataset
from atelier.monitoring import Asked, PredictionLog, logged_predictions, reference_of
from atelier.monitoring.reference import model_at

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def log(tmp_path: Path, own_run: Any) -> Path:
    """Predictions of a run for the first 120 test images, one in each minute of the last hours."""
    path = tmp_path / "log.db"
    images = load_dataset("fashion-mnist-sample").test
    assert images is not None
    _, _, answer = model_at(own_run.path).load()
    writer = PredictionLog(str(path))
    now = datetime.now(UTC)
    for k in range(120):
        one = np.array(images.images[k : k + 1])
        probs, embedding = answer(one)
        writer.record(
            logged_predictions(
                [Asked(f"r{k}")], one, SimpleNamespace(probs=probs, embedding=embedding),
                model="shop", version="1", classes=own_run.classes,
                time=now - timedelta(minutes=k),
            )
        )  # fmt: skip
    writer.close(60)
    return path


def test_the_default_log_is_that_of_the_service() -> None:
    from atelier.serving.settings import DEFAULT_LOG

    assert DEFAULT_LOG == application.DEFAULT_LOG


def test_drift(call: Call, log: Path, own_run: Any, tmp_path: Path) -> None:
    words = ("drift", "--log", log, "--reference", own_run.path, "--quiet")
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert "120 predictions of shop" in out
    assert "Kolmogorov-Smirnov" in out
    assert "Estimated accuracy without labels" in out
    page = tmp_path / "drift.html"
    code, out, _ = call(*words, "--since", "59m", "--out", page)
    assert code == 0
    assert "59 predictions of shop" in out
    assert out.endswith(f"report: {page}\n")
    assert "What changed" in page.read_text("utf-8")
    code, out, _ = call(*words, "--json", "--until", "2h")
    assert code == 2  # nothing is so old
    code, out, _ = call(*words, "--json")
    assert json.loads(out)["predictions"] == 120


def test_reference(call: Call, own_run: Any) -> None:
    code, out, _ = call("reference", own_run.path, "--quiet")
    assert code == 0
    assert "validation images of fashion-mnist-sample" in out
    assert out.endswith(f"reference: {own_run.path / 'reference.npz'}\n")
    assert reference_of(own_run.path / "reference.npz").classes == own_run.classes


def test_dashboards(call: Call, here: Path) -> None:
    code, out, _ = call("provision", "watch")
    assert code == 0
    assert out.split() == [
        f"watch/{name}" for name in ("grafana.json", "alerts.yml", "prometheus.yml")
    ]
    assert len(list((here / "watch").iterdir())) == 3
    assert call("provision", "watch")[0] == 2
    assert call("provision", "watch", "--overwrite")[0] == 0


def test_log_delete_and_prune(call: Call, log: Path) -> None:
    assert call("log", "delete", "r5", "--log", log)[1] == "deleted: 1 predictions\n"
    assert call("log", "delete", "r5", "--log", log)[1] == "deleted: 0 predictions\n"
    hour = 1 / 24
    words = ("log", "prune", "--log", log, "--quiet", "--days")
    assert call(*words, hour)[1] == "deleted: 60 predictions\n"
    assert call(*words, hour)[1] == "deleted: 0 predictions\n"
    assert call(*words, 0)[1] == "deleted: 59 predictions\n"


def test_deleting_while_a_service_writes(call: Call, log: Path, own_run: Any) -> None:
    writer = PredictionLog(str(log))
    assert call("log", "delete", "r7", "--log", log)[1] == "deleted: 1 predictions\n"
    assert writer.delete("r7") == 0
    writer.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drift", "--log", "none.db", "--reference", "x"), "there is no prediction log"),
        (("drift", "--log", "mysql://h/d", "--reference", "x"), "kept elsewhere"),
        (("drift", "--reference", "x", "--since", "yesterday"), "this is no moment"),
        (("drift", "--reference", "x", "--since", "99999999999w"), "this is no moment"),
        (("drift", "--log", "none.db"), "--reference"),
        (("log", "prune", "--log", "none.db", "--days", "7"), "there is no prediction log"),
        (("log", "delete", "r", "--log", "none.db"), "there is no prediction log"),
        (("log", "prune", "--days", "-1"), "greater than or equal to 0"),
        (("reference", "none"), "neither a run folder nor an export"),
    ],
)
def test_what_is_refused(refused: Callable[..., str], words: tuple[str, ...], said: str) -> None:
    assert said in refused(*words)


def test_a_log_that_is_no_database(refused: Callable[..., str], here: Path) -> None:
    (here / "log.db").write_text("Dear diary" * 300)
    assert "not a database" in refused("log", "delete", "r", "--log", "log.db")
    assert "not a database" in refused("drift", "--log", "log.db", "--reference", "ref.npz")
