"""`bench_zoo` trains what is missing under one budget, and goes on where it was."""

import pytest

import atelier
from atelier.errors import ConfigError, RunError
from atelier.runs import Run

SMALL = ["train.batch_size=64", "train.validation_share=0.2"]
NARROW = ["model.width=8", "model.depth=1", *SMALL]


def zoo(out, recipes=("mlp",), **more):
    more.setdefault("overrides", NARROW)
    more.setdefault("epochs", 1)
    return atelier.bench_zoo(
        list(recipes), data="fashion-mnist-sample", out=out, progress=False, **more
    )


def test_each_run_has_the_epochs_of_the_budget_and_is_judged_once(tmp_path):
    board = zoo(tmp_path, epochs=2, seeds=2)
    (entry,) = board.entries
    assert (entry.num_epochs, entry.seeds, entry.asked) == (2, (0, 1), 2)
    runs = [Run(tmp_path / f"mlp-fashion-mnist-sample-s{seed}") for seed in (0, 1)]
    for run, accuracy in zip(runs, entry.accuracies, strict=True):
        assert run.recipe.train.num_epochs == 2
        assert atelier.evaluate(run).accuracy == accuracy
    assert entry.hits.mean() == pytest.approx(entry.accuracies[0])
    assert (tmp_path / "zoo.png").stat().st_size > 10_000


def test_a_later_call_adds_to_the_leaderboard_and_trains_nothing_anew(tmp_path):
    first = zoo(tmp_path)
    before = (tmp_path / "mlp-fashion-mnist-sample-s0" / "metrics.json").stat().st_mtime_ns
    more = zoo(tmp_path, ["cnn"], overrides=["model.channels=[4,4]", "model.dense=8", *SMALL])
    assert {one.name for one in more.entries} == {"mlp", "cnn"}
    assert first.entries[0] in more.entries
    assert zoo(tmp_path).entries == more.entries
    after = (tmp_path / "mlp-fashion-mnist-sample-s0" / "metrics.json").stat().st_mtime_ns
    assert after == before


def test_seconds_buy_epochs(tmp_path):
    board = zoo(tmp_path, epochs=None, seconds=0.5)
    assert board.entries[0].num_epochs >= 1
    assert board.budget == "0.5 seconds of training each"


def test_what_is_fitted_in_one_go_stands_outside_the_budget_and_is_said_to(tmp_path):
    board = zoo(tmp_path, ["logistic"], overrides=["model.max_iterations=5"], epochs=3)
    assert board.entries[0].accuracy > 0.5
    assert "fitted in one go, whatever the budget: logistic" in str(board)


def test_who_costs_too_much_is_left_out_with_the_reason(tmp_path):
    said = []
    board = zoo(tmp_path, epochs=None, flops=10, say=said.append)
    assert not board.entries
    assert said == ["mlp is left out: one epoch takes more than 10 FLOP each"]
    assert "one epoch takes more" in str(board)


def test_another_budget_or_other_settings_in_the_same_folder_are_refused(tmp_path):
    zoo(tmp_path)
    with pytest.raises(RunError, match="with another budget"):
        zoo(tmp_path, epochs=2)
    with pytest.raises(RunError, match="other settings"):
        zoo(tmp_path, overrides=[*NARROW, "train.lr=0.5"])


def test_mistakes_are_told_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError, match="two recipes have one name"):
        zoo(tmp_path, ["mlp", "mlp"])
    with pytest.raises(ConfigError, match="unknown recipe"):
        zoo(tmp_path, ["mlp", "mpl"])
    with pytest.raises(ConfigError, match="seeds"):
        zoo(tmp_path, seeds=0)
    assert not list(tmp_path.iterdir())
