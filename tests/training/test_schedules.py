"""Schedules at the points where one knows what they must be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import TrainConfig
from atelier.training.schedules import Schedule, ends_of_cycles, more_cycles

NAMES = ["constant", "step", "plateau", "cosine", "restarts", "one-cycle"]


def schedule(name, **options):
    return Schedule(TrainConfig(schedule=name, **{"num_epochs": 10, "warmup_epochs": 0, **options}))


def points(name, epochs, **options):
    plan = schedule(name, **options)
    return [pytest.approx(plan.factor(epoch), abs=1e-9) for epoch in epochs]


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_is_a_line_that_does_not_start_at_nothing(name):
    at = points(name, [0, 0.5, 1, 1.5, 2], warmup_epochs=2)
    assert at == [0.01, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("name", NAMES)
def test_without_warm_up_the_first_step_is_a_whole_one(name):
    assert points(name, [0]) == [1]


def test_constant_stays():
    assert points("constant", [0, 3.7, 10]) == [1, 1, 1]


def test_restarts_begin_anew_with_each_cycle():
    times = [0, 1, 1.5, 2, 3, 4, 6, 10]
    at = points("restarts", times, cycle_epochs=2, cycle_growth=2)
    # Cycles of 2, 4 and 8 epochs, from 0, 2 and 6.
    assert at == [1, 0.5, 0.146446609, 1, 0.853553391, 0.5, 1, 0.5]
    assert points("restarts", [2.999999999], cycle_epochs=3) == [0]


def test_the_warm_up_is_a_part_of_the_first_cycle():
    at = points("restarts", [0.5, 1, 2, 3, 4.5], cycle_epochs=3, warmup_epochs=1)
    assert at == [0.5, 1, 0.5, 1, 0.5]
    with pytest.raises(ValueError, match=r"warmup_epochs \(3\) must be less than cycle_epochs"):
        schedule("restarts", cycle_epochs=3, warmup_epochs=3)


@pytest.mark.parametrize(
    ("cycle_epochs", "growth", "ends"),
    [(3, 1, [3, 6, 9]), (1, 2, [1, 3, 7]), (10, 1, [10]), (11, 1, [])],
)
def test_cycles_end_with_whole_epochs(cycle_epochs, growth, ends):
    options = {"num_epochs": 10, "cycle_epochs": cycle_epochs, "cycle_growth": growth}
    assert ends_of_cycles(TrainConfig(schedule="restarts", **options)) == ends


@given(st.integers(1, 300), st.integers(1, 16))
def test_the_cycles_that_are_named_leave_two_snapshots_or_three(num_epochs, growth):
    config = TrainConfig(schedule="restarts", num_epochs=num_epochs, cycle_growth=growth)
    named = {key.removeprefix("train."): value for key, value in more_cycles(config).items()}
    ends = ends_of_cycles(config.model_copy(update=named))
    assert len(ends) >= (3 if num_epochs > growth + growth**2 else 2)


def test_cosine_falls_to_zero_at_the_end():
    assert points("cosine", [0, 2.5, 5, 7.5, 10]) == [1, 0.853553391, 0.5, 0.146446609, 0]


def test_cosine_starts_where_warm_up_ends():
    assert points("cosine", [2, 6, 10], warmup_epochs=2) == [1, 0.5, 0]


def test_one_cycle_rises_and_falls_in_lines():
    assert points("one-cycle", [1, 2, 4, 8, 10], warmup_epochs=2) == [0.5, 1, 0.75, 0.25, 0]


def test_step_drops_every_few_epochs():
    at = points("step", [0, 2.99, 3, 5.99, 6, 9.5], step_epochs=3, step_factor=0.1)
    assert at == [1, 1, 0.1, 0.1, 0.01, 0.001]


def test_steps_are_counted_from_the_end_of_warm_up():
    at = points("step", [4.9, 5.1], warmup_epochs=2, step_epochs=3, step_factor=0.5)
    assert at == [1, 0.5]


@pytest.mark.parametrize(
    ("accuracies", "drops"),
    [
        ([], 0),
        ([0.5], 0),
        ([0.5, 0.6, 0.7, 0.8], 0),
        ([0.5, 0.5], 0),
        ([0.5, 0.5, 0.5], 1),
        ([0.5, 0.4, 0.45], 1),
        ([0.5, 0.4, 0.6, 0.5], 0),  # better again in time
        ([0.5, 0.5, 0.5, 0.5, 0.5], 2),
        ([0.5, 0.5, 0.5, 0.6, 0.6], 1),  # what has dropped stays dropped
    ],
)
def test_plateau_drops_when_validation_has_not_got_better_for_a_while(accuracies, drops):
    plan = schedule("plateau", step_epochs=2, step_factor=0.1)
    plan.observe(accuracies)
    assert plan.factor(5) == pytest.approx(0.1**drops)


def test_plateau_forgets_nothing_when_told_again():
    plan = schedule("plateau", step_epochs=1, step_factor=0.5)
    for _ in range(3):  # as a resumed run, which hears the same history again
        plan.observe([0.5, 0.5, 0.5])
        assert plan.factor(3) == 0.25


@given(
    st.sampled_from(NAMES), st.integers(1, 50), st.floats(0, 1), st.floats(0, 0.99), st.integers(1)
)
def test_the_factor_is_a_share_at_all_times(name, num_epochs, time, warmup, step_epochs):
    plan = schedule(
        name,
        num_epochs=num_epochs,
        warmup_epochs=warmup * num_epochs,
        step_epochs=step_epochs,
        cycle_epochs=num_epochs,
    )
    assert 0 <= plan.factor(time * num_epochs) <= 1
