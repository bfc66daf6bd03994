"""`tune`: it goes on where it was stopped, draws the same again, and believes no single seed."""

import json
import os
import socket
from pathlib import Path

import pytest

import atelier
from atelier.config import Recipe
from atelier.errors import RunError, StorageError
from atelier.evaluation.tables import percent
from atelier.tuning import load_tuning
from atelier.tuning import search as searching

pytestmark = pytest.mark.usefixtures("narrow_recipes")

TINY = ["train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=64"]
SPACE = ["train.lr=1e-5..1e-1:log", "train.label_smoothing=0..0.2", "augment.cutout=0,4"]


def tuned(out, **options):
    return atelier.tune(
        options.pop("recipe", "mlp"),
        **{
            "data": "fashion-mnist-sample",
            "overrides": TINY,
            "search": SPACE,
            "trials": 3,
            "seeds": 0,
            "out": out,
            "progress": False,
            **options,
        },
    )


def told(result):
    return [(t.number, t.state, t.accuracy, t.values) for t in result.trials]


@pytest.fixture(scope="module")
def bad_start(tmp_path_factory):
    """A search from a learning rate that is a hundred times too small."""
    from atelier.recipes import RECIPES

    with pytest.MonkeyPatch.context() as patch:
        narrow = RECIPES["mlp"]().with_overrides(["model.width=16"])
        patch.setitem(RECIPES, "mlp", lambda: narrow)
        return atelier.tune(
            "mlp",
            data="fashion-mnist-sample",
            overrides=[*TINY, "train.lr=2e-5"],
            search=SPACE,
            trials=9,
            top=1,
            seeds=2,
            out=tmp_path_factory.mktemp("tune") / "bad",
            progress=False,
        )


def test_it_beats_a_bad_start(bad_start):
    first = bad_start.trials[0]
    assert first.values == {"train.lr": 2e-5, "train.label_smoothing": 0.0, "augment.cutout": 0}
    own, other = bad_start.candidates
    assert own.name == "recipe"
    assert bad_start.chosen == other.name != "recipe"
    assert other.mean > own.mean + 0.1
    assert bad_start.gain[0] == pytest.approx(other.mean - own.mean)
    assert bad_start.best.train.lr > 2e-5


def test_the_best_are_trained_again_with_other_seeds(bad_start):
    assert bad_start.seeds == (1, 2)
    folders = sorted((bad_start.folder / "confirmed").iterdir())
    seeds = {(atelier.load_run(f).recipe.name, atelier.load_run(f).recipe.seed) for f in folders}
    other = bad_start.chosen.replace(" ", "-")
    assert seeds == {("recipe", 1), ("recipe", 2), (other, 1), (other, 2)}


def test_no_test_image_is_looked_at(bad_start):
    assert not list(bad_start.folder.rglob("test.npz"))


def test_it_reads_well_and_is_kept(bad_start):
    assert load_tuning(bad_start.folder) == bad_start
    text = str(bad_start)
    for words in ("9 trials of mlp", "95 % interval", bad_start.chosen, percent(0.5)[-1]):
        assert words in text
    json.dumps(bad_start.to_dict(), allow_nan=False)
    keys = {path.stem for path in (bad_start.folder / "figures").iterdir()}
    assert keys >= {"history", "slices", "parallel"}


def test_the_saved_recipe_can_be_trained(bad_start, tmp_path):
    file = bad_start.folder / "best.json"
    assert Recipe.load(file) == bad_start.best
    run = atelier.train(str(file), out=tmp_path / "run", progress=False, overrides=TINY)
    assert run.recipe == bad_start.best
    assert run.recipe.name == "mlp-tuned"


def test_a_damaged_result_says_what_to_do(bad_start, tmp_path):
    assert load_tuning(tmp_path) is None
    (tmp_path / "tuning.json").write_text('{"format_version": 0}')
    with pytest.raises(RunError, match="Run the same `atelier tune` again"):
        load_tuning(tmp_path)


def test_a_stopped_study_goes_on_and_ends_as_if_it_had_not_been_stopped(
    tmp_path, stopped_in, monkeypatch
):
    whole = tuned(tmp_path / "whole", name="one", trials=4)
    part = tmp_path / "part"
    tuned(part, name="one", trials=2)
    with stopped_in(2), pytest.raises(KeyboardInterrupt):
        tuned(part, name="one", trials=3)
    resumed = []
    train = searching.train
    monkeypatch.setattr(
        searching, "train", lambda *a, **o: resumed.append(o.get("resume")) or train(*a, **o)
    )
    again = tuned(part, name="one", trials=3)
    assert [t.state for t in again.trials] == ["complete", "complete", "failed", "complete"]
    # In its old folder, from the epoch that was saved.
    assert [path and path.name for path in resumed] == ["trial-0002"]
    assert again.trials[3].values == again.trials[2].values == whole.trials[2].values
    assert again.trials[3].accuracy == whole.trials[2].accuracy
    assert told(again)[:2] == told(whole)[:2]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_whose_process_is_gone_is_tried_again(tmp_path):
    from atelier.tuning import study as studies

    gone = 2**22 + 1  # above the largest number that Linux gives
    url = f"sqlite:///{tmp_path / 'study.db'}"
    options = {"seed": 0, "pruner": "none", "num_epochs": 2}
    first = studies.open_study(url, "one", **options)
    trial = first.ask()
    trial.suggest_float("train.lr", 0.1, 1)
    trial.set_user_attr("process", {"host": socket.gethostname(), "pid": gone})
    alive = first.ask()
    alive.set_user_attr("process", {"host": socket.gethostname(), "pid": os.getpid()})
    again = studies.open_study(url, "one", **options)
    assert [t.state.name for t in again.trials] == ["FAIL", "RUNNING", "WAITING"]
    assert again.trials[2].user_attrs == {"first": 0, "tries": 2}


def test_trials_that_do_badly_are_stopped_and_their_checkpoints_removed(tmp_path, monkeypatch):
    import optuna

    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: self.number > 0)
    result = tuned(tmp_path / "out", trials=2)
    assert [t.state for t in result.trials] == ["complete", "pruned"]
    assert result.trials[1].epochs == 1
    assert result.trials[1].accuracy is not None
    assert not list((tmp_path / "out").rglob("checkpoint.safetensors"))


def test_a_loss_that_is_no_number_is_a_bad_trial_and_not_the_end(tmp_path, monkeypatch):
    from atelier.errors import DivergenceError

    train = searching.train

    def diverging(recipe, *, out, **options):
        if out.name == "trial-0001":
            raise DivergenceError("training diverged: no number")
        return train(recipe, out=out, **options)

    monkeypatch.setattr(searching, "train", diverging)
    result = tuned(tmp_path / "out", trials=2)
    assert [t.state for t in result.trials] == ["complete", "pruned"]
    assert "1 of the trials could not be trained" in str(result)


def test_another_recipe_or_space_is_another_study(tmp_path):
    tuned(tmp_path / "out", trials=1, name="one")
    with pytest.raises(RunError, match="another space"):
        tuned(tmp_path / "out", trials=1, name="one", search=SPACE[:2])
    with pytest.raises(RunError, match="another recipe"):
        tuned(tmp_path / "out", trials=1, name="one", overrides=[*TINY, "model.dropout=0.3"])


def test_a_recipe_that_holds_nothing_out_is_searched_with_validation(tmp_path):
    overrides = [*TINY, "train.validation_share=0", "train.keep=last"]
    result = tuned(tmp_path / "out", trials=1, overrides=overrides)
    assert result.trials[0].accuracy is not None
    assert result.best.train.validation_share == 0
    assert "held out a twelfth" in str(result)


def test_impossible_options_are_refused_before_anything_is_written(here, refused):
    sample = ("--data", "fashion-mnist-sample")
    assert "trials is out of range" in refused("tune", "mlp", *sample, "--trials", 0)
    assert "minutes" in refused("tune", "mlp", *sample, "--minutes", 0)
    assert "Did you mean" in refused("tune", "mpl", *sample)
    assert "Did you mean" in refused("tune", "mlp", *sample, "--search", "train.lrr=1..2")
    line = refused("tune", "mlp", *sample, "--storage", "mysql://user:secret@host/db")
    assert "secret" not in line
    assert "is not a recipe" in refused_file(here, refused)


def refused_file(here: Path, refused):
    (here / "broken.json").write_text("{")
    return refused("train", "broken.json")


def test_a_database_that_is_no_study_is_an_error_for_people(tmp_path):
    (tmp_path / "study.db").write_text("no database at all, but long enough for its header" * 9)
    with pytest.raises(StorageError, match="cannot be used"):
        tuned(tmp_path / "out", storage=f"sqlite:///{tmp_path / 'study.db'}")


def test_the_command_prints_a_table_or_json(here, call):
    words = ["tune", "mlp", "--data", "fashion-mnist-sample", "--trials", 2, "--seeds", 0, "-q"]
    words += [word for change in TINY for word in ("--set", change)]
    code, out, err = call(*words)
    assert (code, err) == (0, "")
    assert "next: atelier train runs/tune/mlp-fashion-mnist-sample/best.json" in out
    code, out, _ = call(*words, "--json")  # nothing is left to do
    assert code == 0
    assert len(json.loads(out)["trials"]) == 2
