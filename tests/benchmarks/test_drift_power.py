"""The benchmark draws what it says, and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.drift_power import Pool, main


def test_samples_are_changed_as_their_names_say() -> None:
    labels = np.repeat(np.arange(4), 250)
    names = {"none": 0, "mirror": 1, "invert": 2}
    parts = {
        name: tuple(np.full((1000, 2), mark) for _ in range(4)) for name, mark in names.items()
    }
    pool = Pool(labels, parts)
    for change, mark in names.items():
        traffic, _ = pool.sample(change, 200, 0.1, 0)
        assert (traffic.stats[:, 0] == mark).sum() == (200 if change == "none" else 20)
    parts["none"] = (np.eye(4)[labels], *parts["none"][1:])
    traffic, accuracy = Pool(labels, parts).sample("double", 400, 0.1, 6)
    assert accuracy == 1
    assert (traffic.predicted == 2).mean() == pytest.approx(0.4, abs=0.06)  # 2 of 5, not replaced
    assert (traffic.stats == 0).all()


def test_it_measures(own_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "drift.json"
    words = [
        "--data",
        "fashion-mnist-sample",
        "--samples",
        "1",
        "--predictions",
        "60",
        "--share",
        "1",
    ]
    assert main([str(own_run.path), *words, "--json", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "validation images of fashion-mnist-sample" in shown
    found = json.loads(file.read_text())
    assert [row["change"] for row in found["rows"]] == ["none", "mirror", "invert", "double"]
    assert all(row["samples"] == 1 for row in found["rows"])
    assert found["rows"][2]["tests"]["brightness"] == 1  # all of them are inverted


def test_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "neither a run folder nor an export" in capsys.readouterr().err
