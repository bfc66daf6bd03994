"""Averages of weights, and the batch-norm statistics that fit them."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from atelier.config import TrainConfig
from atelier.models import Classifier
from atelier.training.averaging import averages_of, reestimate_batch_norm


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


class Line(nn.Module):
    """One weight, which a test sets."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        return images * self.w


def kept_of(model, averages, epoch):
    return averages.after_epoch(model, epoch, list).w.item()


def test_lookahead_goes_back_half_the_way_by_hand():
    model = Line()
    averages = averages_of(model, TrainConfig(lookahead_steps=2, lookahead_share=0.5))
    seen = []
    with torch.no_grad():
        for _ in range(5):
            model.w += 1.0
            averages.after_step(model)
            seen.append(model.w.item())
    # Two steps to 2, back to 1; two to 3, back to 2; and one more.
    assert seen == [1, 1, 2, 2, 3]
    assert kept_of(model, averages, 1) == 2  # the slow weight
    assert model.w.item() == 3


def test_the_mean_of_the_late_epochs_is_kept():
    model = Line()
    averages = averages_of(model, TrainConfig(num_epochs=4, warmup_epochs=0, swa_from=0.5))
    kept = []
    for epoch, weight in enumerate([1.0, 7.0, 2.0, 5.0], start=1):
        model.w.data.fill_(weight)
        averages.after_step(model)
        kept.append(kept_of(model, averages, epoch))
    assert kept == [1, 7, 2, 3.5]


def test_averages_follow_each_other():
    model = Line()
    config = TrainConfig(num_epochs=4, warmup_epochs=0, swa_from=0.5, lookahead_steps=1)
    averages = averages_of(model, config)
    kept = []
    for epoch in range(1, 5):
        model.w.data.add_(1.0)
        averages.after_step(model)
        kept.append(kept_of(model, averages, epoch))
    assert kept == [0.5, 1.0, 1.5, 1.75]  # of the slow weights 0.5, 1, 1.5 and 2


def test_no_average_keeps_the_network_itself():
    model = Line()
    averages = averages_of(model, TrainConfig())
    averages.after_step(model)
    assert averages.after_epoch(model, 1, list) is model
    assert not averages.state_dict()


def test_two_averages_of_one_kind_are_refused():
    with pytest.raises(ValueError, match="both average the weights"):
        TrainConfig(ema_decay=0.9, swa_from=0.5)
