"""A recipe is strict: what does not fit is one readable line that names the place and the mend."""

import errno
import json
import os
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from atelier.config import (
    AugmentConfig,
    CCTConfig,
    CNNConfig,
    CoAtNetConfig,
    HybridConfig,
    MixerConfig,
    MLPConfig,
    Recipe,
    ResidualMLPConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
    TrainConfig,
    ViTConfig,
)
from atelier.errors import AtelierError, ConfigError, RunError, StorageError

MODELS = (
    MLPConfig(),
    CNNConfig(),
    ResNetConfig(),
    HybridConfig(),
    SpeedNetConfig(),
    TimmConfig(),
    ResidualMLPConfig(),
    MixerConfig(),
    ViTConfig(),
    CCTConfig(),
    CoAtNetConfig(),
)
TEXTS = {"model.backbone", "model.weights", "train.init"}  # any words may be right


def recipe(model=None):
    return Recipe(name="mine", model=model or CNNConfig())


def settings_of(found):
    """Every path that --set takes."""
    for part in ("model", "augment", "train"):
        for field in type(getattr(found, part)).model_fields:
            if field != "name":
                yield f"{part}.{field}"


EVERY_SETTING = [(model, path) for model in MODELS for path in settings_of(recipe(model))]
IDS = [f"{model.name}-{path}" for model, path in EVERY_SETTING]


@pytest.mark.parametrize(("model", "path"), EVERY_SETTING, ids=IDS)
def test_every_setting_names_itself_and_what_it_got_when_the_type_is_wrong(model, path):
    if path in TEXTS:
        return
    with pytest.raises(ConfigError) as caught:
        recipe(model).with_overrides([f"{path}=nonsense"])
    message = str(caught.value)
    assert f"the recipe has a bad value: {path}: input should be " in message
    assert "got 'nonsense'" in message
    assert len(message.splitlines()) == 1
    assert "pydantic" not in message


@pytest.mark.parametrize(("model", "path"), EVERY_SETTING, ids=IDS)
def test_every_setting_takes_its_own_value_again(model, path):
    part, field = path.split(".")
    start = recipe(model)
    value = getattr(getattr(start, part), field)
    assert start.with_overrides([f"{path}={json.dumps(value)}"]) == start


@pytest.mark.parametrize(("model", "path"), EVERY_SETTING, ids=IDS)
def test_every_number_has_a_limit_and_says_it(model, path):
    part, field = path.split(".")
    value = getattr(getattr(recipe(model), part), field)
    if isinstance(value, bool | str | tuple | None):
        return
    with pytest.raises(ConfigError, match=r"should be (greater|0|1|'|less)") as caught:
        recipe(model).with_overrides([f"{path}=-2"])  # even, as some have to be
    assert path in str(caught.value)
    assert "got -2" in str(caught.value)


@pytest.mark.parametrize("config", [*MODELS, AugmentConfig(), TrainConfig()])
def test_every_choice_lists_what_is_allowed(config):
    for name, field in type(config).model_fields.items():
        if name == "name" or get_origin(field.annotation) is not Literal:
            continue
        part = {AugmentConfig: "augment", TrainConfig: "train"}.get(type(config), "model")
        start = recipe(config if part == "model" else None)
        with pytest.raises(ConfigError) as caught:
            start.with_overrides([f"{part}.{name}=nonsense"])
        for allowed in get_args(field.annotation):
            assert repr(allowed) in str(caught.value)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.lr=0", "train.lr: input should be greater than 0; got 0"),
        ("train.lr=NaN", "train.lr: input should be a finite number"),
        ("train.lr=1e999", "train.lr: input should be a finite number"),
        ("train.lr=", "train.lr: input should be a valid number; got ''"),
        ("train.num_epochs=1.5", "train.num_epochs: input should be a valid integer; got 1.5"),
        ("train.nesterov=1", "train.nesterov: input should be a valid boolean; got 1"),
        ("seed=-1", "seed: input should be greater than or equal to 0; got -1"),
        ("seed=2147483648", "seed: input should be less than 2147483648"),
        ("seed=" + "1" * 5000, "seed: input should be a valid integer; got '1111"),
        ("model.channels=[32]", "model.channels.1: field required"),
        ("model.channels=[32,0]", "model.channels.1: input should be greater than or equal to 1"),
        ("augment.mirror=None", "augment.mirror: input should be 'none', 'random' or"),
        ("train.warmup_epochs=30", "warmup_epochs (30) must be less than num_epochs ("),
        ("train.validation_share=0", "keep=best chooses: set train.keep=last"),
        ("train.validation_share=1", "train.validation_share: input should be less than 1; got 1"),
    ],
)
def test_a_value_that_does_not_fit(override, said):
    with pytest.raises(ConfigError) as caught:
        recipe().with_overrides([override])
    assert said in str(caught.value)


def test_heads_must_divide_the_width_of_a_token():
    with pytest.raises(ConfigError, match=r"heads \(5\) must divide dim \(64\)"):
        recipe(HybridConfig()).with_overrides(["model.heads=5"])
    assert recipe(HybridConfig()).with_overrides(["model.heads=5", "model.dim=65"])


def test_every_group_of_a_speednet_has_a_width_and_a_number_of_convolutions():
    with pytest.raises(ConfigError, match="widths has 3 groups and convolutions 2: set both"):
        recipe(SpeedNetConfig()).with_overrides(["model.widths=[8,8,8]"])
    both = ["model.widths=[8,8,8]", "model.convolutions=[1,2,1]"]
    assert recipe(SpeedNetConfig()).with_overrides(both).model.widths == (8, 8, 8)


def test_filters_that_come_in_pairs_are_even():
    with pytest.raises(ConfigError, match=r"model\.stem_filters: input should be a multiple of 2"):
        recipe(SpeedNetConfig()).with_overrides(["model.stem_filters=7"])


def test_what_is_not_measured_after_every_epoch_chooses_nothing():
    rare = ["train.validate_every=2", "train.keep=last"]
    assert recipe().with_overrides(rare).train.validate_every == 2
    for override, said in (
        ("train.keep=best", "keep=best"),
        ("train.patience=3", "patience"),
        ("train.schedule=plateau", "plateau"),
    ):
        with pytest.raises(ConfigError, match=f"validate_every .*{said}.* chooses") as caught:
            recipe().with_overrides([*rare, override])
        assert "\n" not in str(caught.value)


def test_without_validation_nothing_may_choose():
    fixed = ["train.validation_share=0", "train.keep=last"]
    assert recipe().with_overrides(fixed).train.validation_share == 0
    for override, said in (("train.patience=3", "patience"), ("train.schedule=plateau", "plateau")):
        with pytest.raises(ConfigError, match=f"{said}.* chooses"):
            recipe().with_overrides([*fixed, override])


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("train.lrr=1", "train.lr"),
        ("TRAIN.LR=1", "train.lr"),
        ("lr=1", "train.lr"),
        ("training.num_epochs=1", "train.num_epochs"),
        ("model.chanels=[1,2]", "model.channels"),
        ("sed=1", "seed"),
    ],
)
def test_an_unknown_setting_gets_the_nearest_name(override, nearest):
    with pytest.raises(ConfigError, match="unknown setting") as caught:
        recipe().with_overrides([override])
    assert f"Did you mean '{nearest}'?" in str(caught.value)


def test_a_setting_of_another_model_is_unknown():
    with pytest.raises(ConfigError, match=r"unknown setting; got 'model\.heads'"):
        recipe(CNNConfig()).with_overrides(["model.heads=2"])


def test_the_model_of_a_recipe_is_fixed():
    with pytest.raises(ConfigError, match=r"model of a recipe is fixed.*Name another recipe"):
        recipe().with_overrides(["model.name=mlp"])


def test_an_override_without_a_value_shows_how_one_looks():
    with pytest.raises(ConfigError, match=r"needs a path and a value.*train\.lr=0\.01"):
        recipe().with_overrides(["train.lr"])


def test_overrides_are_taken_in_order_and_judged_together():
    changed = recipe().with_overrides(
        ["train.lr=1", " train.lr = 0.5 ", "train.num_epochs=1", "train.warmup_epochs=0.5"]
    )
    assert changed.train.lr == 0.5
    assert changed.train.num_epochs == 1


@pytest.mark.parametrize("word", ["true", "True"])
def test_truth_is_written_as_in_json_or_in_python(word):
    assert recipe().with_overrides([f"model.batch_norm={word}"]).model.batch_norm is True


def test_text_may_hold_an_equals_sign():
    assert recipe().with_overrides(["data=folder/a=b"]).data == "folder/a=b"


@given(st.text())
def test_no_override_ends_in_a_traceback(override):
    try:
        recipe().with_overrides([override])
    except ConfigError as error:
        assert len(str(error).splitlines()) <= 1
    else:
        assert "=" in override


@given(st.text(min_size=1))
def test_no_value_ends_in_a_traceback(text):
    for path in ("train.lr", "model.channels", "data"):
        try:
            recipe().with_overrides([f"{path}={text}"])
        except ConfigError as error:
            assert len(str(error).splitlines()) == 1


def test_a_name_that_is_no_unicode_is_refused_without_the_whole_recipe():
    with pytest.raises(ConfigError, match="surrogate") as caught:
        recipe().with_overrides(["data=\udcff"])
    assert len(str(caught.value)) < 200


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        recipe().seed = 3
    with pytest.raises(ValidationError, match="frozen"):
        recipe().train.lr = 3.0


def test_recipes_that_differ_by_the_seed_alone_are_one():
    seven = recipe().with_overrides(["seed=7"])
    assert seven != recipe()
    assert seven.without_seed() == recipe().without_seed()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_what_is_saved_is_loaded(tmp_path, model):
    recipe(model).save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe(model)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (b"", RunError, "is not a recipe"),
        (b"{", RunError, "is not a recipe"),
        (b"\xff\xfe\x00", RunError, "is not a recipe"),
        (b"[1]", ConfigError, "input should be an object"),
        (b"{}", ConfigError, "name: field required"),
        (b'{"name": "x", "model": {"name": "cnnn"}}', ConfigError, "'mlp', 'cnn', 'resnet'"),
        (
            b'{"name": "x", "model": {"name": "cnn", "dense": 0}}',
            ConfigError,
            "model.dense: input should be greater than or equal to 1; got 0",
        ),
        (
            b'{"name": "x", "model": {"name": "cnn"}, "train": {"lrr": 1}}',
            ConfigError,
            "train.lrr: extra inputs are not permitted",
        ),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, kind, said):
    path = tmp_path / "recipe.json"
    path.write_bytes(text)
    with pytest.raises(kind) as caught:
        Recipe.load(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_a_recipe_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(StorageError, match=r"cannot read .*No such file"):
        Recipe.load(tmp_path / "missing.json")

    def refuse(_path):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(AtelierError, match="Permission denied"):
        Recipe.load(tmp_path / "x.json")
