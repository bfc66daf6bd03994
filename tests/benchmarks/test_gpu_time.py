"""Trainings on a warm GPU: what is run, what is kept, and what the README is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import atelier
from atelier.errors import RunError
from benchmarks import gpu_time
from benchmarks.gpu_time import Results, WarmRun, measure, section_text

MACHINE = {"device": "a GPU", "python": "3.12", "torch": "2.11"}


def warm_run(seed: int, accuracy: float, recipe: str = "gpu-94") -> WarmRun:
    return WarmRun(recipe, seed, accuracy, 2.0 + seed, 3.0 + seed, 10, 1234, "2026-01-31")


@pytest.fixture
def results() -> Results:
    runs = [warm_run(0, 0.94), warm_run(1, 0.95), warm_run(0, 0.96, "gpu-96")]
    return Results(MACHINE, 3.5, ["the command"], {"gpu-94": 4.0, "gpu-96": 36.0}, runs)


def test_the_readme_is_told_mean_spread_seeds_and_what_warming_up_takes(results: Results) -> None:
    text = section_text(results)
    assert "| `gpu-94` | 1,234 | 94.50 ± 0.71 % (2 seeds) | 2.5 s | 3.5 s | 4.0 s |" in text
    assert "| `gpu-96` | 1,234 | 96.00 % (1 seed) | 2.0 s | 3.0 s | 36.0 s |" in text
    assert "one a GPU, Python 3.12, torch 2.11, 2026-01-31" in text
    assert "Importing takes 3.5 s more" in text


def test_results_come_back_as_they_were_saved(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


@pytest.mark.parametrize("text", ["{}", "[1]", '{"runs": [{"seed": 1}]}', "nothing"])
def test_a_file_of_something_else_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(RunError, match="not a results file of this benchmark"):
        Results.load(tmp_path / "results.json")


def test_only_missing_seeds_are_trained_after_a_warm_up(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[tuple[int, int]] = []

    def on_the_sample(
        recipe: str, seed: int, out: Path, overrides: Sequence[str] = ()
    ) -> atelier.Run:
        assert recipe == "gpu-94"
        short = ("train.num_epochs=3", "train.batch_size=256", "model.widths=[8,8]")
        run = atelier.train(
            "fast-91",
            data="fashion-mnist-sample",
            seed=seed,
            overrides=[*short, *overrides],
            out=out,
            progress=False,
        )
        trained.append((seed, run.metrics["num_epochs"]))
        return run

    monkeypatch.setattr(gpu_time, "_train", on_the_sample)
    results.runs = [replace(run, seed=1) for run in results.of("gpu-94")[:1]]
    measure("gpu-94", 3, results, tmp_path / "results.json", tmp_path)
    assert trained == [(3, 2), (0, 3), (2, 3)]
    saved = Results.load(tmp_path / "results.json")
    assert [run.seed for run in saved.runs] == [1, 0, 2]
    assert saved.warm_up_seconds["gpu-94"] == 4.0  # the second time nothing is compiled
    assert 0 < saved.runs[1].train_seconds < saved.runs[1].seconds
    assert saved.runs[1].test_accuracy == atelier.evaluate(tmp_path / "gpu-94-s0").accuracy


def test_a_machine_without_a_gpu_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu_time.main(["--results", str(tmp_path / "results.json")]) == 2
    assert "this benchmark is for a GPU; got 'cpu'" in capsys.readouterr().err
    assert not (tmp_path / "results.json").exists()
