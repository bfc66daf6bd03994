"""Comparisons: train what is missing, take what is there, refuse what would mislead."""

import json

import pytest

from atelier import sweeps
from atelier.errors import ConfigError, RunError
from atelier.runs import load_run
from atelier.sweeps import compare, compare_runs, gather

SHORT = ["train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=64"]


pytestmark = pytest.mark.usefixtures("narrow_recipes")


@pytest.fixture
def trained(monkeypatch):
    """What was trained since: (recipe or resumed folder, seed)."""
    seen, train = [], sweeps.train

    def noted(recipe=None, **options):
        resumed = options.get("resume")
        seen.append(resumed.name if resumed else (recipe.name, recipe.seed))
        return train(recipe, **options)

    monkeypatch.setattr(sweeps, "train", noted)
    return seen


def compared(targets, runs, function=compare, **options):
    return function(
        targets,
        **{
            "data": "fashion-mnist-sample",
            "overrides": SHORT,
            "runs": runs,
            "progress": False,
            **options,
        },
    )


def test_what_is_missing_is_trained_and_what_is_there_is_taken(tmp_path, trained):
    compared(["mlp"], tmp_path, gather, seeds=1)
    assert trained == [("mlp", 0)]
    result = compared(["mlp", "cnn"], tmp_path, seeds=2)
    assert trained == [("mlp", 0), ("mlp", 1), ("cnn", 0), ("cnn", 1)]
    rows = result.to_dict()
    again = compared(["mlp", "cnn"], tmp_path, seeds=2).to_dict()
    assert len(trained) == 4
    assert json.dumps(rows["pairs"]) == json.dumps(again["pairs"])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{m}-fashion-mnist-sample-s{s}" for m in ("mlp", "cnn") for s in (0, 1)}


def test_a_run_that_was_planned_for_its_data_is_taken_again(tmp_path, trained, photo_folder):
    options = {"data": str(photo_folder), "overrides": SHORT[:2], "seeds": 1}
    compared(["photos-fast"], tmp_path, gather, **options)
    (run,) = compared(["photos-fast"], tmp_path, gather, **options)
    assert trained == [("photos-fast", 0)]
    assert len(run.history) == 2
    assert run.recipe.train.batch_size < 64
    with pytest.raises(RunError, match="other settings"):
        compared(["photos-fast"], tmp_path, gather, **{**options, "overrides": SHORT})


def test_seeds_make_one_row(tmp_path):
    found = compared(["mlp", "cnn"], tmp_path, gather, seeds=2)
    text = str(compare_runs(found))
    rows = [line for line in text.splitlines() if line.startswith(("mlp ", "cnn "))]
    assert len(rows) >= 2
    assert [(run.recipe.name, run.recipe.seed) for run in found] == [
        ("mlp", 0),
        ("mlp", 1),
        ("cnn", 0),
        ("cnn", 1),
    ]


def test_other_settings_than_those_of_a_finished_run_are_refused(tmp_path, trained):
    compared(["mlp"], tmp_path, gather)
    before = (tmp_path / "mlp-fashion-mnist-sample-s0" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match=r"trained with other settings.*--runs"):
        # The one to refuse comes last: nothing may be trained before it is seen.
        compared(["cnn", "mlp"], tmp_path, overrides=[*SHORT, "train.lr=0.5"])
    assert trained == [("mlp", 0)]
    after = (tmp_path / "mlp-fashion-mnist-sample-s0" / "model.safetensors").read_bytes()
    assert after == before


def test_an_interrupted_run_is_gone_on_with(tmp_path, trained, stopped_in):
    with stopped_in(epoch=2), pytest.raises(KeyboardInterrupt):
        compared(["mlp", "cnn"], tmp_path)
    assert trained == [("mlp", 0)]
    compared(["mlp", "cnn"], tmp_path)
    assert trained[1:] == ["mlp-fashion-mnist-sample-s0", ("cnn", 0)]
    run = load_run(tmp_path / "mlp-fashion-mnist-sample-s0")
    assert not run.metrics["interrupted"]
    assert len(run.history) == 2


def test_what_was_killed_in_its_first_epoch_is_trained_anew(tmp_path, trained):
    path = tmp_path / "mlp-fashion-mnist-sample-s0"
    (run,) = compared(["mlp"], tmp_path, gather)
    for left in path.iterdir():
        if left.name not in ("recipe.json", "environment.json", "predictions"):
            left.unlink()
    (run,) = compared(["mlp"], tmp_path, gather)
    assert trained == [("mlp", 0)] * 2
    assert run.path == path


def test_runs_are_compared_by_their_folders(tmp_path, finished_run, train_tiny, trained):
    other = train_tiny(tmp_path / "wider", "model.width=24")
    result = compare([finished_run, str(other.path)], progress=False)
    assert trained == []
    # Two variants of one recipe: their folders tell them apart.
    assert "finished" in str(result)
    assert "wider" in str(result)


def test_runs_of_two_recipes_are_named_by_them(tmp_path, finished_run, train_tiny):
    other = train_tiny(tmp_path / "some-folder", "train.num_epochs=1", recipe="cnn")
    text = str(compare_runs([finished_run, other]))
    assert "cnn" in text
    assert "mlp" in text
    assert "some-folder" not in text


def test_costs_are_measured(tmp_path, finished_run, train_tiny):
    other = train_tiny(tmp_path / "wider", "model.width=24", "train.num_epochs=1")
    rows = json.loads(json.dumps(compare_runs([finished_run, other]).to_dict()))["rows"]
    assert {row["parameters"] for row in rows} == {
        run.metrics["parameters"] for run in (finished_run, other)
    }
    assert all(row["train_seconds"] > 0 for row in rows)
    assert all(row["inference_ms_per_image"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("targets", "options", "words"),
    [
        ([], {}, "nothing to compare"),
        (["mlp", "cnn"], {"seeds": 0}, "number of seeds is out of range; got 0"),
        (["mlp", "cnm"], {}, "Did you mean 'cnn'?"),
        (["mlp", "cnn"], {"overrides": ["train.lrr=1"]}, "Did you mean 'train.lr'?"),
        (["mlp", "cnn"], {"overrides": ["model.width=8"]}, "unknown setting"),
    ],
)
def test_wrong_wishes_are_one_line_before_anything_is_trained(
    tmp_path, trained, targets, options, words
):
    with pytest.raises(ConfigError) as caught:
        compared(targets, tmp_path, **options)
    assert words in str(caught.value)
    assert trained == []
    assert list(tmp_path.iterdir()) == []


def test_one_recipe_is_no_comparison(finished_run):
    with pytest.raises(ConfigError, match="two different recipes or more"):
        compare_runs([finished_run])


def test_a_run_named_twice_is_refused(tmp_path, finished_run, train_tiny):
    other = train_tiny(tmp_path / "wider", "model.width=24", "train.num_epochs=1")
    with pytest.raises(RunError, match="same seed"):
        compare_runs([finished_run, finished_run, other])
