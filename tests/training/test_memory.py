"""Memory: what an image takes, what is free, and a smaller batch where there is too little."""

import pytest
import torch

from atelier.config import Recipe, SpeedNetConfig, TrainConfig
from atelier.errors import DeviceError
from atelier.training import loop, train
from atelier.training.memory import activation_bytes, free_memory, is_out_of_memory

RECIPE = Recipe(
    name="photos",
    model=SpeedNetConfig(stem_filters=4, widths=(8, 8)),
    train=TrainConfig(num_epochs=1, warmup_epochs=0),
)


def test_the_memory_of_an_image_grows_with_its_area_and_draws_nothing():
    before = torch.get_rng_state()
    small, large = (activation_bytes(RECIPE, (3, side, side), 2) for side in (32, 64))
    assert large == pytest.approx(4 * small, rel=0.05)
    assert torch.equal(before, torch.get_rng_state())


def test_the_free_memory_of_this_machine_is_a_plausible_number():
    found = free_memory(torch.device("cpu"))
    assert found is None or 2**20 < found < 2**50


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("DefaultCPUAllocator"), False),
    ],
)
def test_which_errors_say_that_memory_is_short(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.fixture
def short_of_memory(monkeypatch):
    """A machine on which a batch of more than 16 images does not fit."""
    step = loop.take_step

    def limited(model, batches, **rest):
        if any(len(batch.images) > 16 for batch in batches):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(model, batches, **rest)

    monkeypatch.setattr(loop, "take_step", limited)


def test_a_planned_training_halves_its_batch_until_it_fits(short_of_memory, tmp_path):
    said = []
    recipe = RECIPE.changed({"data": "fashion-mnist-sample", "plan": True, "train.batch_size": 64})
    run = train(
        recipe,
        overrides=["train.num_epochs=1"],
        out=tmp_path / "run",
        progress=False,
        say=said.append,
    )
    assert run.recipe.train.batch_size == 16
    assert not run.recipe.plan
    assert [line.rsplit(" ", 1)[1] for line in said if "memory was short" in line] == ["32", "16"]
    assert len(run.history) == 1


@pytest.mark.parametrize("overrides", [["train.batch_size=64"], ["plan=false"]])
def test_a_batch_that_was_set_by_hand_is_an_error_with_the_way_out(
    short_of_memory, tmp_path, overrides
):
    recipe = RECIPE.changed({"data": "fashion-mnist-sample", "plan": True})
    with pytest.raises(DeviceError, match=r"Halve the batch with --set train\.batch_size="):
        train(recipe, overrides=overrides, out=tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
