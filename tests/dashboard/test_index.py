"""The table: every run folder as it is, read again only where it has changed."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from atelier.dashboard.index import RunIndex, leaves, read_history
from atelier.errors import RunError
from tests.dashboard.conftest import ODD


def settled(index):
    """The rows by name, once all accuracies are counted."""
    for _ in range(500):
        rows, waiting = index.rows()
        if not waiting:
            return {row.name: row for row in rows}
        time.sleep(0.02)
    raise AssertionError("the accuracies are never counted")


def test_every_run_is_there_in_its_state(runs, finished_run):
    rows = settled(RunIndex(runs))
    assert len(rows) == 24
    odd = rows[f"deeper/{ODD}"]
    assert odd.state == "finished"
    assert odd.accuracy == finished_run.predictions("test").correct.mean()
    assert odd.validation_accuracy == finished_run.metrics["best_validation_accuracy"]
    assert odd.parameters == finished_run.metrics["parameters"]
    assert (odd.recipe, odd.seed, odd.epochs) == ("mlp", 0, 2)
    assert odd.settings["train.batch_size"] == 64
    assert rows["damaged"].state == rows["old"].state == "damaged"
    assert "JSON" in rows["damaged"].problem
    assert "another version" in rows["old"].problem
    half = rows["half"]
    assert (half.state, half.epochs, half.accuracy) == ("unfinished", 6, None)
    assert half.validation_accuracy == read_history(runs / "half")[-1]["validation/accuracy"]


def test_only_what_has_changed_is_read_again(runs, tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    for name in ("mlp-lr0.001-s0", "cnn-lr0.001-s0"):
        shutil.copytree(runs / name, folder / name)
    index = RunIndex(folder)
    settled(index)
    read = []
    from atelier.dashboard import index as module

    whole = module.read_row
    monkeypatch.setattr(
        module, "read_row", lambda path, name: read.append(name) or whole(path, name)
    )
    shutil.copytree(runs / "half", folder / "new")
    (folder / "mlp-lr0.001-s0" / "metrics.json").write_text("[]")
    shutil.rmtree(folder / "cnn-lr0.001-s0" / "predictions")
    rows = settled(index)
    assert sorted(read) == ["mlp-lr0.001-s0", "new"]
    assert rows["mlp-lr0.001-s0"].state == "damaged"
    assert rows["cnn-lr0.001-s0"].accuracy is None
    shutil.rmtree(folder / "new")
    assert len(settled(index)) == 2
    with pytest.raises(RunError, match="no such run"):
        index.path("new")


@pytest.mark.parametrize("name", ["..", "../..", "/etc", "", "deeper", "damaged/..", "."])
def test_a_name_is_looked_up_and_is_no_path(runs, name):
    index = RunIndex(runs)
    index.rows()
    with pytest.raises(RunError, match="no such run"):
        index.path(name)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "\x00", '{"format_version": 1, "parameters": "x", "train_seconds": NaN}'],
    ids=["empty", "list", "null", "binary", "odd values"],
)
@pytest.mark.parametrize("name", ["recipe.json", "metrics.json", "environment.json"])
def test_nothing_in_a_folder_makes_the_table_fail(runs, tmp_path, name, text):
    shutil.copytree(runs / "mlp-lr0.001-s0", tmp_path / "runs" / "one")
    (tmp_path / "runs" / "one" / name).write_text(text)
    row = settled(RunIndex(tmp_path / "runs"))["one"]
    assert row.state in ("damaged", "finished")
    assert row.seconds is None or name != "metrics.json"


def test_damaged_predictions_have_no_accuracy(runs, tmp_path):
    shutil.copytree(runs / "mlp-lr0.001-s0", tmp_path / "runs" / "one")
    (tmp_path / "runs" / "one" / "predictions" / "test.npz").write_bytes(b"PK")
    row = settled(RunIndex(tmp_path / "runs"))["one"]
    assert (row.state, row.accuracy) == ("finished", None)


def test_leaves_are_plain():
    found = dict(leaves({"a": {"b": 1, "c": [1, 2]}, "d": None, "e": float("nan")}))
    assert found == {"a.b": 1, "a.c": "[1, 2]", "d": None, "e": "NaN"}
    json.dumps(found, allow_nan=False)


def test_wrong_folders_are_refused(runs, tmp_path):
    with pytest.raises(RunError, match="no folder of runs"):
        RunIndex(tmp_path / "none")
    with pytest.raises(RunError, match="Name the one above"):
        RunIndex(runs / "half")


def test_the_table_needs_no_torch(runs):
    code = (
        "import sys; from atelier.dashboard.app import create_app; "
        "from atelier.dashboard.index import RunIndex; "
        f"create_app({str(runs)!r}); assert len(RunIndex({str(runs)!r}).rows()[0]) == 24; "
        "assert not {'torch', 'gradio', 'plotly.graph_objects'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
