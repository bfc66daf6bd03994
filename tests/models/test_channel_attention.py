"""Attention in convolutional networks, against the papers' equations and timm's modules."""

import pytest
import torch
from timm.layers import SEModule
from torch import nn

from atelier.models.channel_attention import (
    ChannelGate,
    PlaceGate,
    SqueezeExcitation,
    attention,
)


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


def test_squeeze_and_excitation_is_that_of_timm():
    ours = SqueezeExcitation(12, 3)
    theirs = SEModule(12, rd_channels=3)
    theirs.fc1.load_state_dict(ours.gate[1].state_dict())
    theirs.fc2.load_state_dict(ours.gate[3].state_dict())
    x = torch.randn(2, 12, 5, 7)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_squeeze_and_excitation_by_hand():
    module = SqueezeExcitation(2, 1)
    with torch.no_grad():
        module.gate[1].weight.copy_(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1))
        module.gate[1].bias.fill_(0.5)
        module.gate[3].weight.copy_(torch.tensor([2.0, 0.0]).view(2, 1, 1, 1))
        module.gate[3].bias.copy_(torch.tensor([0.0, 1.0]))
    x = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]]]])  # means 2 and 1, so 2 - 1 + 0.5 is hidden
    gates = torch.tensor([3.0, 1.0]).sigmoid().view(1, 2, 1, 1)
    assert torch.allclose(module(x), x * gates)


def test_the_channel_gate_sees_mean_and_maximum():
    module = ChannelGate(6, 2)
    x = torch.randn(3, 6, 4, 5)
    first, second = (module.layers[i].weight.flatten(1) for i in (0, 2))

    def layers(v):
        return (v @ first.T).relu() @ second.T

    flat = x.flatten(2)
    gate = (layers(flat.mean(2)) + layers(flat.max(2).values)).sigmoid()
    assert torch.allclose(module(x), x * gate[:, :, None, None], atol=1e-6)


def test_the_place_gate_is_one_number_for_each_place():
    module = PlaceGate()
    with torch.no_grad():  # looks at the place alone: its mean minus twice its maximum
        module.convolution.weight.zero_()
        module.convolution.weight[0, :, 3, 3] = torch.tensor([1.0, -2.0])
    x = torch.randn(2, 5, 6, 4)
    gate = (x.mean(1) - 2 * x.amax(1)).sigmoid()
    assert torch.allclose(module(x), x * gate[:, None], atol=1e-6)


def test_a_kind_by_its_name():
    kinds = {kind: [type(m) for m in attention(kind, 32)] for kind in ("none", "se", "cbam")}
    assert kinds == {"none": [], "se": [SqueezeExcitation], "cbam": [ChannelGate, PlaceGate]}


@pytest.mark.parametrize(("channels", "hidden"), [(8, 4), (64, 4), (256, 16)])
def test_a_sixteenth_of_the_channels_is_hidden_but_at_least_four(channels, hidden):
    (module,) = attention("se", channels)
    assert next(m for m in module.modules() if isinstance(m, nn.Conv2d)).out_channels == hidden
