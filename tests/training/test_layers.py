"""Freezing, gradual unfreezing and layer-wise learning rates."""

import pytest
import torch
from torch import nn

from atelier.config import MLPConfig, Recipe, ResNetConfig, SpeedNetConfig, TimmConfig, TrainConfig
from atelier.errors import ConfigError
from atelier.models import build_model, fit_whitening, stages_of
from atelier.training.layers import Freezing
from atelier.training.optimizers import build_optimizer

MODELS = {
    "resnet": ResNetConfig(widths=(4, 8, 16)),
    "speednet": SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(1, 1)),
    "timm": TimmConfig(backbone="mobilenetv3_small_050", dropout=0.5),
}


def network(name):
    torch.manual_seed(0)
    model = build_model(MODELS[name], (1, 32, 32), 3)
    fit_whitening(model, lambda count: torch.randn(min(count, 64), 1, 32, 32))
    return model


def steps(model, optimizer, count=2):
    for _ in range(count):
        optimizer.zero_grad(set_to_none=True)
        model(torch.randn(4, 1, 32, 32)).square().mean().backward()
        optimizer.step()


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_frozen_moves_by_a_bit(name, optimizer):
    model = network(name)
    config = TrainConfig(freeze="backbone", optimizer=optimizer, weight_decay=1, lr=0.1)
    built = build_optimizer(model, config)
    Freezing(model, config)(1)
    model.train()
    before = state_of(model)
    steps(model, built)
    changed = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed
    assert all(n.startswith("head.") for n in changed)


def test_stages_are_released_from_the_head_down_one_after_another():
    model = network("resnet")
    config = TrainConfig(freeze="backbone", unfreeze_epochs=2, num_epochs=10, lr=0.1)
    optimizer = build_optimizer(model, config)
    freezing = Freezing(model, config)
    stages = stages_of(model.features)
    assert len(stages) == 4
    seen = []
    for epoch in range(1, 12):
        freezing(epoch)
        model.train()
        before = state_of(model)
        steps(model, optimizer, 1)
        after = model.state_dict()
        moved = {n for n in before if not torch.equal(before[n], after[n])}
        names = {id(p): n for n, p in model.named_parameters()}
        seen.append([any(names[id(p)] in moved for p in stage) for stage in stages])
        trained = [all(p.requires_grad for p in stage) for stage in stages]
        assert seen[-1] == trained
        # Statistics move with what they are of.
        for name, module in model.features.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                moves = f"features.{name}.running_mean" in moved
                assert moves == module.weight.requires_grad
    assert [sum(row) for row in seen] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert all(row == sorted(row) for row in seen)


def test_the_schedule_depends_on_the_epoch_alone():
    def trained_after(*epochs):
        model = network("resnet")
        freezing = Freezing(model, TrainConfig(freeze="backbone", unfreeze_epochs=1))
        for epoch in epochs:
            freezing(epoch)
        return [p.requires_grad for p in model.parameters()]

    assert trained_after(3) == trained_after(1, 2, 3) == trained_after(9, 3)


def test_a_whitening_stem_stays_frozen_when_all_is_released():
    model = network("speednet")
    frozen = [n for n, p in model.named_parameters() if not p.requires_grad]
    freezing = Freezing(model, TrainConfig(freeze="backbone", unfreeze_epochs=1))
    for epoch in (1, 100):
        freezing(epoch)
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == frozen
    freezing(1)
    freezing.release()
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == frozen


def test_without_freezing_nothing_is_touched():
    model = network("speednet")
    before = [p.requires_grad for p in model.parameters()]
    Freezing(model, TrainConfig())(1)
    assert [p.requires_grad for p in model.parameters()] == before
    assert all(module.training for module in model.train().modules())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("name", MODELS)
def test_each_block_learns_slower_than_the_one_above(name, optimizer):
    model = network(name)
    config = TrainConfig(optimizer=optimizer, lr=0.5, layer_decay=0.5, weight_decay=0.3)
    groups = build_optimizer(model, config).param_groups
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    trained = [p for p in model.parameters() if p.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(trained) == len(rate)
    assert {rate[id(p)] for p in model.head.parameters()} == {0.5}
    stages = stages_of(model.features, blocks=True)
    for depth, stage in enumerate(reversed(stages), start=1):
        assert {rate[id(p)] for p in stage if p.requires_grad} == {0.5 * 0.5**depth}
    assert all(decay[id(p)] == (0.3 if p.ndim >= 2 else 0.0) for p in trained)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["train.unfreeze_epochs=2"], "unfreeze_epochs needs a frozen backbone"),
        (["train.cached_views=2"], "cached_views needs a frozen backbone"),
        (
            ["train.freeze=backbone", "train.unfreeze_epochs=1", "train.cached_views=2"],
            "cached_views needs a backbone that stays frozen",
        ),
        (["train.optimizer=muon", "train.layer_decay=0.5"], "layer_decay is for the other"),
        (["train.optimizer=muon", "train.freeze=backbone"], "all of them are frozen"),
        (["train.layer_decay=0"], "train.layer_decay: input should be greater than 0"),
    ],
)
def test_settings_that_contradict_each_other(sets, said):
    with pytest.raises(ConfigError) as caught:
        Recipe(name="mine", model=MLPConfig()).with_overrides(sets)
    assert said in str(caught.value)
