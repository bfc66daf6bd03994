"""The benchmark of photos reads what it says it reads, and adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import photo_loading
from benchmarks.photo_epochs import (
    DataEpoch,
    Reading,
    atelier_epoch,
    bare_decoding,
    cached_reading,
    image_folder_epoch,
    plain_reading,
)
from benchmarks.photo_loading import BARE, FOLDER, OURS, PLAIN, Start, main, summarize
from tests.data.photo_folders import make_photos


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for start, part in enumerate(("train", "validation")):
        make_photos(tmp_path / "photos" / part, {"hat": 70, "sock": 5}, start=200 * start)
    return tmp_path / "photos"


def test_each_reads_all_photos(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATELIER_CACHE", "unused")
    for read in (plain_reading, bare_decoding, cached_reading):
        found = read(photos, 16)
        assert found.images == 150
        assert found.seconds > 0


def test_both_epochs_have_the_same_images(photos: Path) -> None:
    for epoch in (image_folder_epoch, atelier_epoch):
        found = epoch(photos, 16, 0)
        assert found.images == 64  # one whole batch of 75 training photos
        assert 0 < found.waiting < found.seconds


def test_the_summary_compares_medians() -> None:
    readings = {
        "small": {
            PLAIN: [Reading(100, 1.0, 1.0), Reading(100, 2.0, 1.0), Reading(100, 4.0, 1.0)],
            BARE: [Reading(100, 0.5, 0.5)] * 3,
            OURS: [Reading(100, 0.5, 0.8)] * 3,
        }
    }
    epochs = {FOLDER: [DataEpoch(10, 6.0, 5.0)], OURS: [DataEpoch(10, 2.0, 0.5)]}
    summary = summarize(readings, [Start(2.0, 1.5), Start(1.0, 0.9), Start(1.5, 1.2)], epochs, 2)
    assert summary["small photos"]["times_faster"] == pytest.approx(4)
    assert summary["small photos"]["times_faster_per_core"] == pytest.approx(1.25)
    assert summary["small photos"]["bare_decoding_times_faster_per_core"] == 2
    assert summary["start"]["seconds"] == 1.5
    assert summary["epoch"]["times_slower"] == 3
    assert summary["epoch"]["times_longer_waiting"] == 10


def test_it_measures_and_writes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(photo_loading, "LARGE_SIZES", {"camera": (60, 80)})
    monkeypatch.setattr(photo_loading, "WORKERS", 0)
    monkeypatch.setattr(
        photo_loading,
        "in_turns",
        lambda contestants, _: {name: [measure()] for name, measure in contestants.items()},
    )
    monkeypatch.setattr(photo_loading, "measure_start", lambda *_: Start(1.0, 1.0))
    monkeypatch.setenv("ATELIER_CACHE", "unused")
    results = tmp_path / "results.json"
    words = ["--data", str(photos), "--size", "16", "--rounds", "1", "--large", "3"]
    assert main([*words, "--results", str(results)]) == 0
    written = json.loads(results.read_text())
    assert written["readings"]["camera"][PLAIN][0]["images"] == 3
    assert written["photos"] == 150
    assert str(tmp_path) not in results.read_text()
    assert "start to first batch: 1.00 s" in capsys.readouterr().out
