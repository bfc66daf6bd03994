"""Averages of weights, and the batch-norm statistics that fit them."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from atelier.models import Classifier
from atelier.training.averaging import reestimate_batch_norm


def network(dropout=0.0):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(dropout), nn.BatchNorm1d(6)]
    return Classifier(nn.Sequential(*layers), nn.Linear(6, 2))


def batches(count=3):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 4, generator=generator) + 5 for _ in range(count)]


def test_batch_norms_are_estimated_as_torch_does_it():
    ours, theirs = network(), network()
    reestimate_batch_norm(ours, batches())
    update_bn(batches(), theirs)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, theirs.state_dict()[name]), name
    assert not torch.equal(ours.features[1].running_mean, network().features[1].running_mean)


def test_dropout_is_off_while_batch_norms_are_estimated():
    with_dropout, without = network(0.9), network()
    for model in (with_dropout, without):
        reestimate_batch_norm(model, batches())
    assert torch.equal(with_dropout.features[3].running_var, without.features[3].running_var)


def test_modes_and_momenta_are_left_as_they_were():
    model = network().eval()
    model.head.train()
    model.features[1].momentum = 0.3
    before = [module.training for module in model.modules()]
    reestimate_batch_norm(model, batches())
    assert [module.training for module in model.modules()] == before
    assert model.features[1].momentum == pytest.approx(0.3)


def test_frozen_norms_keep_their_statistics():
    model = network()
    model.features.requires_grad_(False)
    reestimate_batch_norm(model, batches())
    assert torch.equal(model.features[1].running_mean, torch.zeros(6))
