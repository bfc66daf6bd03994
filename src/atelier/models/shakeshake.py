"""Shake-Shake regularization (Gastaldi 2017, arXiv:1705.07485): a residual network of two branches,
whose shares in their sum are drawn anew for each image, and once more for the way back."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ShakeShakeConfig
from .classifier import Classifier, ImageShape
from .resnet import under_head

_STEM = 16


class Shake(torch.autograd.Function):
    """``share * first + (1 - share) * second`` on the way forward; on the way back the gradient is
    split by another share, as if that one had been taken."""

    @staticmethod
    def forward(
        ctx: Any, first: Tensor, second: Tensor, forward_share: Tensor, backward_share: Tensor
    ) -> Tensor:
        """Two tensors of one shape, and two shares that broadcast to it, to that shape."""
        ctx.save_for_backward(backward_share)
        return forward_share * first + (1 - forward_share) * second

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """The gradients of the two tensors; the shares have none."""
        (share,) = ctx.saved_tensors
        return share * gradient, (1 - share) * gradient, None, None


class ShakeShakeBlock(nn.Module):
    """``shortcut(x) + share * branch(x) + (1 - share) * other_branch(x)`` (equation 2), with shares
    per image and for both ways: the paper's Shake-Shake-Image. In evaluation the share is a half.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution of each branch.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(inputs, outputs, stride) for _ in range(2))
        same_shape = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same_shape else Shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        first, second = (branch(x) for branch in self.branches)
        shortcut: Tensor = self.shortcut(x)
        if not self.training:
            mean: Tensor = 0.5 * (first + second)
            return shortcut + mean
        shares = torch.rand(2, len(x), 1, 1, 1, device=x.device).to(first.dtype)
        mixed: Tensor = Shake.apply(first, second, shares[0], shares[1])
        return shortcut + mixed


class Shortcut(nn.Module):
    """Half of the channels from every `stride`-th place, the other half from the places up and to
    the left of these, each by a 1x1 convolution (the paper's appendix).

    Args:
        inputs: channels that come in.
        outputs: channels that go out, an even number.
        stride: in places.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.here = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.beside = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        here = x.relu()
        beside = F.pad(here, (1, -1, 1, -1))
        step = slice(None, None, self.stride)
        both = [self.here(here[:, :, step, step]), self.beside(beside[:, :, step, step])]
        normed: Tensor = self.norm(torch.cat(both, dim=1))
        return normed


def build_shakeshake(
    config: ShakeShakeConfig, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """A convolution, three stages of shaken blocks, then ReLU and global average pooling."""
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], _STEM, 3, padding=1, bias=False),
        nn.BatchNorm2d(_STEM),
    ]
    channels = _STEM
    for stage in range(3):
        width = config.width * 2**stage
        for block in range(config.blocks):
            layers.append(ShakeShakeBlock(channels, width, 2 if stage > 0 and block == 0 else 1))
            channels = width
    layers += [nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return under_head(nn.Sequential(*layers), channels, image_shape, num_classes)


def _branch(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),  # not in place: the other branch and the shortcut read the input too
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    )
