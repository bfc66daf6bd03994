"""The script that makes the kept errors of `cnn`."""

import json

import pytest

from atelier.errors import RunError
from benchmarks import corruption_reference


def test_only_the_recipe_as_it_stands_counts(finished_run, capsys, tmp_path):
    with pytest.raises(RunError, match="recipe cnn as it stands"):
        corruption_reference.reference_of(finished_run)
    assert corruption_reference.main([str(finished_run.path), "--json", str(tmp_path / "f")]) == 2
    assert "recipe cnn" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_it_writes_errors_and_where_they_come_from(finished_run, monkeypatch, tmp_path):
    monkeypatch.setattr(corruption_reference, "get_recipe", lambda _name: finished_run.recipe)
    file = tmp_path / "reference.json"
    assert corruption_reference.main([str(finished_run.path), "--json", str(file)]) == 0
    kept = json.loads(file.read_text())
    assert kept["n"] == 500
    assert kept["clean_error"] == pytest.approx(1 - finished_run.predictions("test").correct.mean())
    assert {len(row) for name, row in kept["errors"].items() if name != "mirror"} == {5}
    assert kept["seed"] == 0
    assert kept["levels"]["mirror"] == [1.0]
