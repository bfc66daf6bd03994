"""A tracker that is slow, down or gone costs a training nothing but a sentence."""

import os
import sys
import time

import pytest

from atelier.tracking import Target, following
from atelier.tracking import follower as followers
from atelier.tracking.follower import MlflowTracker

TARGET = Target("sqlite:////nowhere/mlflow.db")


@pytest.fixture
def worker(monkeypatch):
    """A function that puts a few lines of Python in the worker's place."""
    popen = followers.subprocess.Popen

    def put(code):
        monkeypatch.setattr(
            followers.subprocess,
            "Popen",
            lambda _, **options: popen([sys.executable, "-S", "-c", code], **options),
        )

    return put


def test_the_worker_hears_of_each_folder_and_of_the_end(worker, tmp_path):
    heard = tmp_path / "heard"
    worker(
        f"import sys; open({str(heard)!r}, 'w').write(sys.stdin.read());"
        """print('{"failures": 0, "reason": "", "behind": []}')"""
    )
    said = []
    tracker = MlflowTracker(TARGET, say=said.append)
    tracker.update(tmp_path / "a")
    tracker.update(tmp_path / "b ü")
    tracker.close()
    assert heard.read_text().splitlines() == [str(tmp_path / "a"), str(tmp_path / "b ü")]
    assert said == []


def test_one_that_hangs_is_left_after_its_time(worker, tmp_path):
    worker("import time; time.sleep(60)")
    said = []
    tracker = MlflowTracker(TARGET, patience=0.2, say=said.append)
    started = time.monotonic()
    for _ in range(5_000):  # more than the pipe takes
        tracker.update(tmp_path / "run")
    assert time.monotonic() - started < 5
    tracker.close()
    assert time.monotonic() - started < 10
    (line,) = said
    assert "no answer within" in line
    assert f"atelier track {tmp_path / 'run'} --to mlflow:sqlite:////nowhere/mlflow.db" in line


def test_one_that_has_died_is_spoken_of_once(worker, tmp_path):
    worker("raise SystemExit(3)")
    said = []
    tracker = MlflowTracker(TARGET, say=said.append)
    tracker.update(tmp_path / "run")
    tracker._process.wait()
    tracker.update(tmp_path / "run")
    tracker.update(tmp_path / "run")
    tracker.close()
    assert len(said) == 2
    assert "the training goes on" in said[0]
    assert "MLflow lacks parts of 1 run (it stopped)" in said[1]


def test_a_training_tells_its_tracker_and_none_is_no_process(train_tiny, tmp_path, monkeypatch):
    class Noting:
        def __init__(self):
            self.seen = []

        def update(self, folder):
            rows = folder / "metrics.jsonl"
            self.seen.append(len(rows.read_text().splitlines()) if rows.is_file() else 0)

        def close(self):
            raise AssertionError("who has made it closes it")

    monkeypatch.setattr(followers.subprocess, "Popen", None)
    noting = Noting()
    train_tiny(tmp_path / "run", track=noting)
    assert noting.seen == [0, 1, 2, 2]
    with following(None) as tracker:
        tracker.update(tmp_path)


def test_the_address_is_not_on_the_command_line(monkeypatch, tmp_path):
    started = []

    def popen(command, **options):
        started.append((command, options["env"]))
        raise OSError("no process")

    monkeypatch.setattr(followers.subprocess, "Popen", popen)
    said = []
    tracker = MlflowTracker(Target("https://user:secret@host"), "shop", say=said.append)
    tracker.update(tmp_path)
    tracker.close()
    ((command, environment),) = started
    assert "secret" not in " ".join(command)
    assert environment["ATELIER_TRACKING_EXPERIMENT"] == "shop"
    assert len(said) == 1
    assert os.environ.get("ATELIER_TRACKING_URI") is None
