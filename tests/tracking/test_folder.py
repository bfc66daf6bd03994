"""What a run folder has to say to a tracker."""

import json

import pytest

from atelier.tracking.folder import STATE, files_of, read_facts, weights_digest


def test_a_finished_run_is_read_whole(finished_run):
    facts = read_facts(finished_run.path)
    assert facts.status == "FINISHED"
    assert facts.name == finished_run.name
    assert facts.data == "fashion-mnist-sample"
    assert facts.params["train.lr"] == "0.002"
    assert facts.params["model.name"] == "mlp"
    assert facts.summary["test/accuracy"] == finished_run.predictions("test").correct.mean()
    assert facts.summary["best_validation_accuracy"] == pytest.approx(
        finished_run.metrics["best_validation_accuracy"]
    )
    assert [row["epoch"] for row in facts.rows] == [1, 2]
    assert facts.start <= facts.times[0] < facts.times[1]
    assert facts.tags["atelier.device"] == "cpu"


def test_a_run_that_is_trained_or_was_stopped_says_so(own_run):
    path = own_run.path / "metrics.json"
    path.write_text(json.dumps({**own_run.metrics, "interrupted": True}))
    assert read_facts(own_run.path).status == "KILLED"
    path.unlink()
    facts = read_facts(own_run.path)
    assert (facts.status, facts.summary) == ("RUNNING", {})


def test_numbers_that_are_none_are_left_out(own_run):
    path = own_run.path / "metrics.jsonl"
    path.write_text('{"epoch": 1, "train/loss": NaN, "lr": 0.1, "note": "x", "seconds": 2}\n')
    (row,) = read_facts(own_run.path).rows
    assert row == {"epoch": 1, "lr": 0.1, "seconds": 2}


def test_no_run_is_none(tmp_path):
    assert read_facts(tmp_path) is None
    assert weights_digest(tmp_path) is None


def test_the_files_are_those_that_a_reader_opens(own_run):
    (own_run.path / STATE).write_text("{}")
    (own_run.path / "figures").mkdir(exist_ok=True)
    (own_run.path / "figures" / "curves.png").write_bytes(b"png")
    found = {(path.name, place) for path, place in files_of(own_run.path)}
    assert {("recipe.json", ""), ("metrics.jsonl", ""), ("curves.png", "figures")} <= found
    assert not {STATE, "model.json", "model.safetensors"} & {name for name, _ in found}
