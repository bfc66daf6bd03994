"""Run folders: what a handle tells, and every folder that is none."""

import filecmp
import json
import shlex

import pytest
from typer.testing import CliRunner

import atelier
from atelier import training
from atelier.cli import app
from atelier.config import CNNConfig, Recipe, TrainConfig
from atelier.errors import AtelierError, RunError
from atelier.recipes import get_recipe
from atelier.runs import Run, load_run


def one_line(path, read=lambda run: run):
    with pytest.raises(AtelierError) as caught:
        read(load_run(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_handle_tells_what_was_trained(finished_run):
    run = load_run(str(finished_run.path))
    assert run.name == "finished"
    assert run.recipe.name == "mlp"
    assert run.recipe.model.width == 16
    assert run.classes[0] == "T-shirt/top"
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert len(run.predictions("test")) == 500
    assert len(run.predictions("validation")) == 83
    assert "recipe mlp, seed 0, validation accuracy" in repr(run)
    assert not run.model().training


def test_the_kept_predictions_are_those_of_the_kept_weights(finished_run):
    dataset = atelier.load_dataset("fashion-mnist-sample")
    fresh = atelier.Predictor.of_run(finished_run, device="cpu").predict_split(dataset.test)
    kept = finished_run.predictions("test")
    assert (fresh.logits == kept.logits).all()
    assert (fresh.labels == kept.labels).all()


# The command that repeats a run.


def asked_of_train(command, monkeypatch):
    """What the command line hands to `train` for a whole command."""
    asked = {}

    def remember(recipe, **options):
        asked.update(options, recipe=recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", remember)
    program, *words = shlex.split(command)
    assert program == "atelier"
    CliRunner().invoke(app, words)
    names = ("recipe", "data", "seed", "overrides")
    return training.resolve_recipe(**{name: asked[name] for name in names})


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("mlp", []),
        ("mlp", ["model.width=16", "train.lr=0.1", "model.batch_norm=false"]),
        ("cnn", ["model.channels=[4,8]", "augment.mirror=none", "train.validation_share=0.3"]),
        ("resnet", ["model.widths=[8,16]", "train.schedule=plateau"]),
        ("hybrid", ["train.weight_decay=1e-5", "augment.translation=0.1"]),
    ],
)
def test_the_command_repeats_the_recipe(tmp_path, monkeypatch, name, overrides):
    recipe = get_recipe(name, data="my data/it's", seed=7, overrides=overrides)
    recipe.save(tmp_path / "recipe.json")
    (tmp_path / "metrics.json").write_text('{"format_version": 1}')
    (tmp_path / "environment.json").write_text("{}")
    command = Run(tmp_path).command
    assert "\n" not in command
    assert asked_of_train(command, monkeypatch) == recipe


def test_a_recipe_written_in_python_has_a_command_too(tmp_path, monkeypatch):
    recipe = Recipe(name="mine", model=CNNConfig(dense=16), train=TrainConfig(num_epochs=3))
    recipe.save(tmp_path / "recipe.json")
    (tmp_path / "metrics.json").write_text('{"format_version": 1}')
    (tmp_path / "environment.json").write_text("{}")
    repeated = asked_of_train(Run(tmp_path).command, monkeypatch)
    assert repeated == recipe.model_copy(update={"name": "cnn"})


def test_the_command_of_a_real_run_trains_the_same_weights(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*shlex.split(finished_run.command)[1:], "--out", "again", "--quiet"]
    assert CliRunner().invoke(app, words).exit_code == 0
    weights = [path / "model.safetensors" for path in (finished_run.path, tmp_path / "again")]
    # Whether, and not where: pytest would look for that for minutes.
    assert filecmp.cmp(*weights, shallow=False)


# What is not a run.


def test_no_folder(tmp_path):
    assert "no run folder here" in one_line(tmp_path / "none")


def test_the_name_of_a_recipe_is_not_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "train it first with `atelier train cnn`" in one_line("cnn")


def test_a_folder_of_other_things(tmp_path):
    assert "has no recipe.json" in one_line(tmp_path)


@pytest.mark.parametrize("name", ["metrics.json", "model.json", "environment.json"])
def test_half_a_run(own_run, name):
    (own_run.path / name).unlink()
    message = one_line(own_run.path, lambda run: (run.card, run.environment))
    assert "half written" in message


def test_another_version(own_run):
    metrics = {**own_run.metrics, "format_version": 99}
    (own_run.path / "metrics.json").write_text(json.dumps(metrics))
    assert "another version of the run format; got 99; allowed: 1" in one_line(own_run.path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format_version"', "\x00"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("metrics.json", lambda run: run.metrics),
        ("model.json", lambda run: run.card),
        ("environment.json", lambda run: run.environment),
        ("recipe.json", lambda run: run.recipe),
    ],
)
def test_broken_or_foreign_json(own_run, name, read, text):
    (own_run.path / name).write_text(text)
    assert name in one_line(own_run.path, read)


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"classes": "\xff"}'])
def test_json_that_is_no_text(own_run, data):
    (own_run.path / "model.json").write_bytes(data)
    assert "model.json is not JSON" in one_line(own_run.path, lambda run: run.card)


@pytest.mark.parametrize(
    "change", [{"classes": None}, {"model": {"name": "gan"}}, {"surprise": 1}, {"mean": "x"}]
)
def test_a_foreign_model_card(own_run, change):
    card = {**json.loads((own_run.path / "model.json").read_text()), **change}
    (own_run.path / "model.json").write_text(json.dumps(card))
    message = one_line(own_run.path, lambda run: run.card)
    assert "does not describe a model of this version" in message


def test_a_recipe_with_a_foreign_key(own_run):
    path = own_run.path / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "surprise": 1}))
    assert "recipe.json has a bad value: surprise" in one_line(own_run.path, lambda r: r.recipe)


def test_a_history_that_is_not_json(own_run):
    (own_run.path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo')
    assert "metrics.jsonl is not JSON" in one_line(own_run.path, lambda run: run.history)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_cut_off_weights(own_run, share):
    path = own_run.path / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    message = one_line(own_run.path, lambda run: run.model())
    assert "corrupt or not of this network" in message


def test_missing_weights(own_run):
    (own_run.path / "model.safetensors").unlink()
    assert "model.safetensors" in one_line(own_run.path, lambda run: run.model())


def test_weights_of_another_network(own_run, tmp_path, train_tiny):
    other = train_tiny(tmp_path / "other", "model.width=24", "train.num_epochs=1")
    (other.path / "model.safetensors").replace(own_run.path / "model.safetensors")
    message = one_line(own_run.path, lambda run: run.model())
    assert "not of this network" in message


def test_predictions_that_are_not_there_say_how_to_make_them(own_run):
    for split, option in (("test", ""), ("validation", " --split validation")):
        (own_run.path / "predictions" / f"{split}.npz").unlink()
        with pytest.raises(RunError) as caught:
            own_run.predictions(split)
        assert f"`atelier evaluate {own_run.path}{option}`" in str(caught.value)


def test_corrupt_predictions(own_run):
    path = own_run.path / "predictions" / "test.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match="--refresh"):
        own_run.predictions("test")
