"""A budget says how many epochs a training may have."""

import pytest

from atelier.config import CNNConfig, Recipe, TrainConfig
from atelier.errors import ConfigError
from atelier.zoo.budget import Budget, stretched


def budget(**given):
    return Budget.of(**{"epochs": None, "seconds": None, "flops": None, **given})


def epochs_of(budget, pace=None):
    return budget.epochs(images=1000, multiply_adds=2_000_000, pace=lambda: pace)


def test_epochs_are_epochs():
    assert epochs_of(budget(epochs=5)) == 5


def test_seconds_pay_for_whole_epochs():
    assert epochs_of(budget(seconds=100), pace=30) == 3
    assert epochs_of(budget(seconds=100), pace=101) == 0


def test_an_epoch_takes_six_operations_for_each_multiply_add_and_image():
    assert epochs_of(budget(flops=6 * 2e6 * 1000 * 7)) == 7
    assert epochs_of(budget(flops=6 * 2e6 * 1000 - 1)) == 0


def test_a_budget_is_one_of_three_and_above_zero():
    with pytest.raises(ConfigError, match="one of three"):
        budget(epochs=1, seconds=2.0)
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="out of range"):
            budget(seconds=wrong)
    assert budget().kind == "own"


def test_each_budget_has_a_folder_of_its_own():
    every = [budget(), budget(epochs=5), budget(seconds=5), budget(flops=1e13)]
    assert [one.slug for one in every] == ["own", "epochs-5", "seconds-5", "flops-1e13"]


@pytest.mark.parametrize(("num_epochs", "warmup", "step"), [(5, 1, 3), (20, 4, 10), (1, 0.2, 1)])
def test_a_stretched_schedule_keeps_its_shape(num_epochs, warmup, step):
    train = TrainConfig(num_epochs=10, warmup_epochs=2, schedule="step", step_epochs=5)
    recipe = Recipe(name="cnn", model=CNNConfig(), train=train)
    found = stretched(recipe, num_epochs).train
    assert (found.num_epochs, found.warmup_epochs) == (num_epochs, warmup)
    assert abs(found.step_epochs - step) <= 1
    assert stretched(recipe, 10) == recipe
