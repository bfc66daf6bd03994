"""A network in the line of EfficientNet (Tan and Le 2019, arXiv:1905.11946): inverted residuals
with squeeze-and-excitation and SiLU, and its strides where 28 pixels allow them."""

from __future__ import annotations

from torch import nn

from ..config import EfficientConfig
from .classifier import Classifier, ImageShape
from .mobile import Style, inverted_residual_network

_SQUEEZE = 0.25  # of a block's input, as in the paper's networks


def build_efficient(
    config: EfficientConfig, image_shape: ImageShape, num_classes: int
) -> Classifier:
    """A convolution, stages of MBConv blocks, a 1x1 convolution, then global average pooling."""
    return inverted_residual_network(
        config,
        Style(nn.SiLU, config.expand, _SQUEEZE),
        config.kernels,
        image_shape,
        num_classes,
        drop_path=config.drop_path,
    )
