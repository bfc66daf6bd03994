"""Attention in convolutional networks: which channels count, and which places."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Multiplies each channel by a gate that all channels decide on (Hu et al. 2017,
    arXiv:1709.01507, equations 2 to 4).

    Args:
        channels: that come in and go out.
        hidden: channels between; the paper has a 16th of `channels`.
        activation: between the two layers: the paper's ReLU, or the network's own.
    """

    def __init__(self, channels: int, hidden: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            activation(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        result: Tensor = x * self.gate(x)
        return result


class ChannelGate(nn.Module):
    """Squeeze-and-excitation of the mean and of the maximum over all places, by the same two layers
    (CBAM, equation 2).

    Args:
        channels: that come in and go out.
        hidden: channels between.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to the same shape."""
        mean, largest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        gate: Tensor = (self.layers(mean) + self.layers(largest)).sigmoid()
        return x * gate


class PlaceGate(nn.Module):
    """Multiplies each place by a gate, made by a 7x7 convolution of the mean and the maximum over
    the channels (CBAM, equation 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        gate: Tensor = self.convolution(seen).sigmoid()
        return x * gate


def attention(kind: str, channels: int) -> list[nn.Module]:
    """The modules of that kind of attention, one after the other.

    Hidden are a 16th of the channels, as in both papers, but at least 4: the networks here are
    narrower than the papers', and fewer decide on nothing.

    Args:
        kind: ``none``, ``se`` (squeeze-and-excitation) or ``cbam`` (Woo et al. 2018,
            arXiv:1807.06521: channels first, then places).
        channels: that come in and go out.
    """
    hidden = max(4, channels // 16)
    if kind == "se":
        return [SqueezeExcitation(channels, hidden)]
    if kind == "cbam":
        return [ChannelGate(channels, hidden), PlaceGate()]
    return []
