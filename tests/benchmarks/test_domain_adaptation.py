"""What the benchmark of domain adaptation says of accuracy lost and won back."""

import json

import numpy as np
import pytest

from benchmarks import domain_adaptation
from benchmarks.domain_adaptation import won_back
from benchmarks.domain_pictures import main as draw


def test_the_share_won_back_by_hand():
    source = np.repeat([1.0, 0.0], [90, 10])
    before = np.repeat([1.0, 0.0], [50, 50])
    after = np.repeat([1.0, 0.0], [80, 20])
    share, (low, high) = won_back(source, before, after, paired=True)
    assert share == pytest.approx(0.75)
    assert 0.5 < low < 0.75 < high < 0.95
    _, (less, more) = won_back(source, before, after, paired=False)
    assert more - less > high - low


def test_it_trains_what_is_missing_and_writes_what_it_finds(tmp_path, capsys, monkeypatch):
    results = tmp_path / "found.json"
    words = [
        *("--data", "fashion-mnist-sample", "--domains", "mirrored"),
        *("--methods", "batch-norm-adaptation", "--runs", str(tmp_path / "runs")),
        *("--results", str(results), "--set", "train.num_epochs=1", "train.warmup_epochs=0"),
        *("model.widths=[8,8]", "model.stem_filters=4"),
    ]
    assert domain_adaptation.main(words) == 0
    found = json.loads(results.read_text())
    assert [row["method"] for row in found["rows"]] == [
        *("source-only", "batch-norm-adaptation", "oracle")
    ]
    assert found["judged"] == "validation"
    assert results.with_suffix(".png").stat().st_size > 0
    table = capsys.readouterr().out
    assert "won back" in table
    # Finished runs are taken as they are.
    monkeypatch.setattr("atelier.train", None)
    assert domain_adaptation.main(words) == 0
    assert capsys.readouterr().out == table


def test_another_recipe_in_the_folder_is_refused(tmp_path, finished_run, capsys):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "source-s0").symlink_to(finished_run.path)
    words = ["--data", "fashion-mnist-sample", "--domains", "mirrored"]
    assert domain_adaptation.main([*words, "--runs", str(tmp_path / "runs")]) == 2
    assert "follows another recipe" in capsys.readouterr().err


def test_the_domains_are_drawn(tmp_path):
    assert draw(["--data", "fashion-mnist-sample", "--out", str(tmp_path / "grid.png")]) == 0
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
