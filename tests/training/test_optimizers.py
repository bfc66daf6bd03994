"""Optimizers by name, with weight decay kept off biases and norms."""

import pytest
import torch
from torch import nn

from atelier.config import EfficientConfig, TrainConfig, ViTConfig
from atelier.errors import ConfigError
from atelier.models import build_model
from atelier.training.lion import Lion
from atelier.training.muon import Muon, MuonAdamW
from atelier.training.optimizers import build_optimizer


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def build(model, **options):
    return build_optimizer(model, TrainConfig(**options))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adam", torch.optim.Adam),
        ("adamw", torch.optim.AdamW),
        ("nadam", torch.optim.NAdam),
        ("rmsprop", torch.optim.RMSprop),
        ("lion", Lion),
        ("sgd", torch.optim.SGD),
        ("muon-adamw", MuonAdamW),
    ],
)
def test_the_name_chooses(name, expected):
    optimizer = build(network(), optimizer=name, lr=0.25)
    assert type(optimizer) is expected
    assert {group["lr"] for group in optimizer.param_groups} == {0.25}


@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "rmsprop", "lion", "sgd", "muon-adamw"])
def test_every_weight_is_trained_once_and_only_matrices_decay(name):
    model = network()
    groups = build(model, optimizer=name, weight_decay=0.3).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        is_matrix = name in ("0.weight", "3.weight")
        assert decay[id(parameter)] == (0.3 if is_matrix else 0.0), name


def test_muon_has_the_filters_and_sgd_the_rest_each_with_its_own_rate():
    model = network()
    optimizer = build(model, optimizer="muon", lr=0.25, sgd_lr=0.5, momentum=0.7, weight_decay=0.3)
    assert type(optimizer) is Muon
    groups = optimizer.param_groups
    found = {id(p): group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        group = found[id(parameter)]
        assert group["orthogonalize"] == (name == "0.weight"), name
        assert group["lr"] == (0.25 if name == "0.weight" else 0.5), name
        # The filters have a norm of their own, which decay would work against.
        assert group["weight_decay"] == (0.3 if name == "3.weight" else 0.0), name
        assert group["momentum"] == 0.7


def test_muon_needs_filters_that_are_trained():
    fully_connected = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    frozen = network()
    frozen[0].requires_grad_(requires_grad=False)
    for model in (fully_connected, frozen):
        with pytest.raises(ConfigError, match=r"has none\. Set train\.optimizer=adamw") as caught:
            build(model, optimizer="muon")
        assert "\n" not in str(caught.value)


def test_muon_takes_a_network_of_filters_alone():
    optimizer = build(nn.Sequential(nn.Conv2d(1, 3, 4, bias=False), nn.Flatten()), optimizer="muon")
    assert len(optimizer.param_groups) == 1


def test_muon_beside_adamw_has_what_multiplies_below_the_head():
    model = build_model(EfficientConfig(), (1, 16, 16), 3)
    turned = {
        id(p)
        for group in build(model, optimizer="muon-adamw").param_groups
        for p in group["params"]
        if group["orthogonalize"]
    }
    depthwise = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert depthwise
    assert not turned & {id(m.weight) for m in depthwise}
    assert not turned & {id(p) for p in model.head.parameters()}
    rest = [m.weight for m in model.features.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert turned == {id(p) for p in rest} - {id(m.weight) for m in depthwise}


def test_each_layer_keeps_its_rate_under_muon_beside_adamw():
    model = build_model(ViTConfig(), (1, 28, 28), 10)
    plain = build(model, optimizer="adamw", layer_decay=0.5)
    mixed = build(model, optimizer="muon-adamw", layer_decay=0.5)
    rates = [
        {id(p): group["lr"] for group in each.param_groups for p in group["params"]}
        for each in (plain, mixed)
    ]
    assert rates[0] == rates[1]
    assert len(set(rates[0].values())) > 2


@pytest.mark.parametrize("name", ["adamw", "nadam", "lion", "sgd", "muon-adamw"])
def test_decay_shrinks_weights_and_leaves_biases_and_norms_alone(name):
    model = network()
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimizer = build(model, optimizer=name, lr=0.1, weight_decay=0.5, momentum=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for key, value in model.named_parameters():
        factor = 0.95 if value.ndim >= 2 else 1.0
        assert torch.allclose(value, factor * before[key]), key


def test_frozen_weights_are_left_out():
    model = network()
    model[0].requires_grad_(requires_grad=False)
    trained = [p for group in build(model).param_groups for p in group["params"]]
    assert len(trained) == 4


def test_sgd_has_momentum_and_nesterov_as_told():
    def settings(**options):
        group = build(network(), optimizer="sgd", **options).param_groups[0]
        return group["momentum"], group["nesterov"]

    assert settings() == (0.9, True)
    assert settings(momentum=0.5, nesterov=False) == (0.5, False)
    assert settings(momentum=0.0) == (0.0, False)  # there is nothing to look ahead with


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "muon", "muon-adamw"])
def test_each_goes_downhill(name):
    model = network()
    images, labels = torch.randn(16, 1, 4, 4), torch.arange(16) % 3
    optimizer = build(model, optimizer=name, lr=0.05)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
