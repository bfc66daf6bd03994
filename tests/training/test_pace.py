"""How long an epoch is said to take."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from atelier.data import load_dataset
from atelier.recipes import get_recipe
from atelier.training import loop
from atelier.training.pace import seconds_per_epoch


def test_what_happens_once_is_not_counted_for_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    take_step = loop.take_step

    def slow_at_first(model: Any, batches: Any, *args: Any, **options: Any) -> Any:
        sides.append(batches[0].images.shape[-1])
        time.sleep(2 if len(sides) == 1 else 0.004)
        return take_step(model, batches, *args, **options)

    monkeypatch.setattr(loop, "take_step", slow_at_first)
    small = ("model.widths=[2,2]", "train.batch_size=100")
    growing = ("train.num_epochs=9", "train.start_size=20")
    recipe = get_recipe("preact-resnet", data="fashion-mnist-sample", overrides=[*small, *growing])
    dataset = load_dataset(recipe.data)
    images = len(dataset.train)
    seconds = seconds_per_epoch(recipe, dataset, torch.device("cpu"))
    assert 0.004 * images / 100 <= seconds < 2
    # An epoch to warm up, one that says how many are enough, and a whole one, for it is short.
    assert len(sides) == 5 + 5 + images // 100
    assert set(sides) == {28}
