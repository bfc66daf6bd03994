"""First layers that look at the pixels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

_LEAST_VARIANCE = 5e-4
_VALUES = 4_000_000  # of pixels; enough for a covariance, about 5,000 gray images of 28 x 28


class WhiteningConv(nn.Conv2d):
    """A frozen convolution whose outputs are uncorrelated and of one variance (airbench, Jordan
    2024, arXiv:2404.00498).

    Its filters are the eigenvectors of the covariance of the training images' patches, each divided
    by the root of its eigenvalue, and again with the sign turned, for what follows is one-sided.
    Only the bias, from which what follows cuts off, is learned.

    Args:
        inputs: channels of the images.
        outputs: filters, an even number; at most twice as many as a patch has values carry
            something, so that what lies beyond starts random.
        size: side of a patch in pixels.
        stride: in pixels.
    """

    def __init__(self, inputs: int, outputs: int, *, size: int = 4, stride: int = 2) -> None:
        super().__init__(inputs, outputs, size, stride, padding=(size - stride + 1) // 2, bias=True)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.weight.requires_grad = False

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute the filters from (N, C, H, W) normalized images."""
        size, stride = self.kernel_size[0], self.stride[0]
        # Not F.unfold, which starts and ends its threads for each image anew.
        windows = images.float().unfold(2, size, stride).unfold(3, size, stride)
        patches = windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, self.weight[0].numel())
        patches = patches - patches.mean(dim=0)
        # On the CPU in double precision, whatever the device.
        covariance = (patches.T @ patches / len(patches)).double().cpu()
        variances, directions = torch.linalg.eigh(covariance)
        # Directions without variance, as in a constant border, would become noise of any size.
        filters = (directions / (variances + _LEAST_VARIANCE).sqrt()).T.flip(0)
        half = self.out_channels // 2
        count = min(half, len(filters))
        found = filters[:count].to(self.weight).view(count, *self.weight.shape[1:])
        self.weight[:count] = found
        self.weight[half : half + count] = -found


def fit_whitening(model: nn.Module, some_images: Callable[[int], Tensor]) -> None:
    """Compute the filters of every whitening convolution in `model`, all of which see the pixels.

    Args:
        model: any network.
        some_images: gives so many (N, C, H, W) normalized training images.
    """
    for module in model.modules():
        if isinstance(module, WhiteningConv):
            values = some_images(1).numel()
            module.fit(some_images(max(16, _VALUES // values)))
