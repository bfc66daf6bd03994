"""Recipes by name."""

import pytest

from atelier.errors import ConfigError
from atelier.recipes import RECIPES, get_recipe

# One of each model, to compare; the fast ones are each for an accuracy, as their names say.
MODELS = ["mlp", "cnn", "hybrid", "resnet"]
PHOTOS = ["photos-fast", "photos"]
FAST = [name for name in RECIPES if name.startswith("fast-")]
FOR_GPUS = [name for name in RECIPES if name.startswith("gpu-")]


def test_the_four_models_have_a_recipe_each_then_the_fast_ones_and_those_for_photos():
    first = [*MODELS, *FAST, *PHOTOS]
    assert list(RECIPES)[: len(first)] == first
    assert FAST


@pytest.mark.parametrize("name", PHOTOS)
def test_a_recipe_for_photos_fits_itself_to_them_and_keeps_the_last_weights(name):
    recipe = get_recipe(name)
    assert recipe.plan
    assert recipe.photos.image_size >= 96
    assert recipe.train.keep == "last"


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_bears_its_name_and_says_what_it_is(name):
    recipe = get_recipe(name)
    assert recipe.name == name
    assert recipe.data == "fashion-mnist"
    assert recipe.seed == 0
    assert (RECIPES[name].__doc__ or "").strip()


@pytest.mark.parametrize("name", MODELS)
def test_a_recipe_of_a_model_bears_its_name(name):
    assert get_recipe(name).model.name == name


@pytest.mark.parametrize("name", [*FAST, *FOR_GPUS])
def test_a_fast_recipe_says_how_many_percent_it_is_for(name):
    assert f"{name.split('-')[1]} %" in (RECIPES[name].__doc__ or "")


@pytest.mark.parametrize("name", MODELS)
def test_by_default_validation_chooses_and_test_images_are_never_needed(name):
    train = get_recipe(name).train
    assert train.validation_share == pytest.approx(5000 / 60000)
    assert train.keep == "best"


def test_data_seed_and_overrides_are_applied():
    recipe = get_recipe("cnn", data="12", seed=3, overrides=["train.lr=0.5", "seed=4"])
    assert (recipe.data, recipe.seed, recipe.train.lr) == ("12", 4, 0.5)


def test_the_table_is_not_changed_by_what_is_asked_of_it():
    get_recipe("mlp", overrides=["train.lr=0.5"])
    assert get_recipe("mlp") == RECIPES["mlp"]()


@pytest.mark.parametrize(
    ("name", "near"), [("resnt", "resnet"), ("CNN", "cnn"), ("hybird", "hybrid")]
)
def test_an_unknown_recipe_gets_the_nearest_name(name, near):
    with pytest.raises(ConfigError, match=f"unknown recipe; got '{name}'. Did you mean '{near}'"):
        get_recipe(name)


def test_a_recipe_like_no_other_gets_the_list():
    with pytest.raises(ConfigError, match=f"Known: {', '.join(sorted(RECIPES))}$"):
        get_recipe("transformer-xl-9000")


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True])
def test_an_impossible_seed(seed):
    with pytest.raises(ConfigError, match="seed: input should be"):
        get_recipe("cnn", seed=seed)


@pytest.mark.parametrize("name", [*FAST, *FOR_GPUS])
def test_a_fast_recipe_can_hold_images_out_to_be_judged_by(name):
    share = "train.validation_share=0.1"
    assert get_recipe(name, overrides=[share]).train.validation_share == 0.1
