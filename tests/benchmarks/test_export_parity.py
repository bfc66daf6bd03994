"""The benchmark of exports reads the images that final results are read from, and adds up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import atelier
from atelier.exporting import measurement
from benchmarks.export_parity import main, measure


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement, "ODD_IMAGES", 20)


def test_both_precisions_are_measured_on_the_test_images(
    own_run: Any, few: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = atelier.export(own_run)
    results = tmp_path / "results.json"
    assert main([str(own_run.path), "--results", str(results)]) in (0, 1)
    out = capsys.readouterr().out
    rows = json.loads(results.read_text("utf-8"))["rows"]
    assert [row["precision"] for row in rows] == ["float32", "int8"]
    for row in rows:
        assert row["judged"] == "test"
        assert row["agreement"]["images"] == 500
        assert f"{100 * row['accuracy']['export']:.2f} %" in out
    assert rows[0]["passed"]
    assert rows[0]["agreement"]["differing"] == 0
    # What lay in the run is taken, and the other is made elsewhere.
    assert rows[0]["version"] == atelier.load_export(kept).version
    assert rows[0]["seconds"] is None
    assert rows[1]["seconds"] > 0
    assert [path.name for path in kept.path.parent.glob("*.onnx")] == [kept.path.name]


def test_bars_tell_an_export_that_misses_them(own_run: Any, few: None) -> None:
    (row,) = measure(own_run, ["float32"])
    assert row.passed
    assert not replace(row, agreement=replace(row.agreement, differing=1)).passed
    small = replace(row, precision="int8")
    assert replace(small, agreement=replace(row.agreement, differing=5)).passed
    assert not replace(small, agreement=replace(row.agreement, differing=6)).passed
    assert replace(small, accuracy=replace(row.accuracy, only_run=4, only_export=3)).passed
    assert not replace(small, accuracy=replace(row.accuracy, only_run=4, only_export=2)).passed


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
