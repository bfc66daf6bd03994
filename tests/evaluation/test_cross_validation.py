"""Ten trainings on halves: what is said of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from atelier import sweeps
from atelier.data import load_dataset
from atelier.errors import ConfigError
from atelier.evaluation import cross_compared


def crossed(gaps, base=0.8):
    a = tuple((base + x, base + y) for x, y in gaps)
    return cross_compared("mlp", a, "cnn", ((base, base),) * 5, score="accuracy", train_images=500)


def test_a_steady_lead_is_called_better():
    result = crossed([(-0.031, -0.029), (-0.03, -0.032)] * 2 + [(-0.03, -0.03)])
    assert (result.a, result.b, result.better) == ("cnn", "mlp", True)
    assert result.sentence.startswith("cnn is better than mlp over ten trainings on halves")
    assert "ahead in 10 of 10, p < 0.001" in result.sentence
    assert "test images took no part" in str(result)


def test_a_lead_that_comes_and_goes_is_not():
    result = crossed([(0.02, -0.015), (-0.01, 0.02), (0.01, 0.0), (-0.02, 0.01), (0.0, 0.01)])
    assert not result.better
    assert "mlp and cnn are indistinguishable over ten trainings" in result.sentence
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["p"] > 0.05


def test_differences_that_never_change_are_json_too():
    result = crossed([(0.125, 0.125)] * 5, base=0.5)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False))["f"] is None
    assert result.better


def test_both_recipes_see_the_same_folds_and_the_folds_go_when_they_are_done(monkeypatch, tmp_path):
    seen = []

    def pretend(recipe, overrides, runs, device, progress, title):
        fold = load_dataset(recipe.data)
        ends = {bytes(image) for image in fold.train.images}
        assert not any(bytes(image) in ends for image in fold.test.images)
        seen.append((recipe.name, recipe.seed, recipe.data, title))
        return recipe

    def judged(recipe, device):
        score = np.random.default_rng([recipe.seed, len(recipe.name)]).uniform(0.7, 0.9)
        return SimpleNamespace(uneven=False, accuracy=score, balanced_accuracy=0.0)

    monkeypatch.setattr(sweeps, "train_if_missing", pretend)
    monkeypatch.setattr(sweeps, "evaluate", judged)
    result = sweeps.compare_5x2(
        "hybrid", "cnn", data="fashion-mnist-sample", runs=tmp_path, progress=False
    )
    assert result.train_images == 500
    assert {result.a, result.b} == {"cnn", "hybrid"}
    assert [title for *_, title in seen][::19] == ["hybrid 1/20", "cnn 20/20"]
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert one[1:3] == other[1:3]
    assert [seed for _, seed, _, _ in seen[::4]] == [0, 1, 2, 3, 4]
    assert len({data for _, _, data, _ in seen}) == 10
    with pytest.raises(Exception, match="no data set"):
        load_dataset(seen[0][2])


def test_one_recipe_twice_is_refused():
    with pytest.raises(ConfigError, match="two recipes of different names"):
        sweeps.compare_5x2("mlp", "mlp", data="fashion-mnist-sample", progress=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mlp"], "--cv 5x2 compares two recipes; got 1"),
        (["mlp", "cnn", "--seeds", "3"], "--seeds has no meaning with --cv 5x2"),
        (["mlp", "cnn", "--out", "there"], "--out has no meaning with --cv 5x2"),
    ],
)
def test_what_makes_no_sense_beside_folds_is_refused(refused, words, said):
    assert said in refused("compare", *words, "--cv", "5x2")
