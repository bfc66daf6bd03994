"""Search spaces: what people write is what is searched, within the limits of the fields."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.errors import ConfigError, StorageError
from atelier.recipes import RECIPES, get_recipe
from atelier.tuning.space import Choice, Range, read_space, starting_point, usual_space, values_of

RECIPE = get_recipe("mlp")


def only(*searches, file=None):
    (dimension,) = read_space(RECIPE, searches, file)
    return dimension


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("train.lr=1e-4..1e-1:log", Range("train.lr", 1e-4, 1e-1, log=True)),
        ("model.dropout = 0..0.5", Range("model.dropout", 0, 0.5)),
        ("model.width=64..512:64", Range("model.width", 64, 512, step=64, whole=True)),
        ("model.width=16..512:log", Range("model.width", 16, 512, log=True, whole=True)),
        ("augment.mirror=none,random", Choice("augment.mirror", ('"none"', '"random"'))),
        ("augment.cutout=0,4,8", Choice("augment.cutout", ("0", "4", "8"))),
        ("model.batch_norm=true,false", Choice("model.batch_norm", ("true", "false"))),
    ],
)
def test_a_spec_is_read_as_it_is_written(spec, expected):
    assert only(spec) == expected


def test_lists_are_choices():
    (dimension,) = read_space(get_recipe("cnn"), ["model.channels=[8,16],[32,64]"])
    assert [dimension.value_of(word) for word in dimension.words] == [[8, 16], [32, 64]]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("train.lrr=1e-4..1e-1", "Did you mean 'train.lr'"),
        ("dropout=0..0.5", "Did you mean 'model.dropout'"),
        ("model.dropout=0..1.5", "model.dropout"),
        ("model.dropout=0.5..0.1", "is empty"),
        ("train.weight_decay=0..0.1:log", "begins at zero"),
        ("model.width=64..512.5", "whole numbers"),
        ("model.width=64..128:100", "step"),
        ("train.lr=1e-4..fast", "not of numbers"),
        ("augment.mirror=none,sideways", "sideways"),
        ("augment.mirror=none", "nothing to choose from"),
        ("train.lr", "needs a path"),
        ("seed=1,2", "decides what is measured"),
        ("train.validation_share=0.1..0.2", "decides what is measured"),
        ("model.name=mlp,cnn", "fixed"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_its_reason(spec, words):
    with pytest.raises(ConfigError) as caught:
        only(spec)
    assert words in str(caught.value)


def test_a_field_that_stands_twice_is_refused():
    with pytest.raises(ConfigError, match=r"train\.lr is searched twice"):
        read_space(RECIPE, ["train.lr=1e-4..1e-2", "train.lr=1e-3..1e-2"])


def test_a_file_describes_the_same(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"train.lr": "1e-4..1e-1:log", "augment.cutout": [0, 4]}))
    assert read_space(RECIPE, [], path) == read_space(
        RECIPE, ["train.lr=1e-4..1e-1:log", "augment.cutout=0,4"]
    )
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        read_space(RECIPE, [], path)
    path.write_text("[]")
    with pytest.raises(ConfigError, match="no search space"):
        read_space(RECIPE, [], path)
    with pytest.raises(StorageError):
        read_space(RECIPE, [], tmp_path / "absent.json")


@pytest.mark.parametrize("name", RECIPES)
def test_the_usual_space_of_every_recipe_holds_the_recipe_itself(name):
    recipe = get_recipe(name)
    space = usual_space(recipe)
    start = starting_point(recipe, space)
    assert set(start) == {dimension.path for dimension in space}
    assert recipe.changed(values_of(space, start)) == recipe
    # Every end is a value that the recipe takes.
    for dimension in space:
        ends = (
            map(json.loads, dimension.words)
            if isinstance(dimension, Choice)
            else (dimension.low, dimension.high)
        )
        for end in ends:
            recipe.changed({dimension.path: end})


def test_a_start_outside_of_the_space_is_left_to_the_sampler():
    space = read_space(RECIPE, ["train.lr=0.1..1:log", "model.dropout=0..0.5"])
    assert starting_point(RECIPE, space) == {"model.dropout": 0.2}


@given(st.floats(1e-6, 1e-2), st.floats(1.5, 1e4), st.booleans(), st.floats(0, 1))
def test_a_range_holds_what_lies_within_and_nothing_else(low, ratio, log, share):
    dimension = Range("train.lr", low, low * ratio, log)
    value = min(dimension.high, low + share * (dimension.high - low))
    assert dimension.stored(value) == value
    assert dimension.stored(low * 0.99) is None
    assert dimension.stored(dimension.high * 1.01) is None
