"""A small residual network with pre-activation (He et al. 2016, arXiv:1603.05027)."""

from __future__ import annotations

from torch import Tensor, nn

from ..config import ResNetConfig
from .classifier import Classifier, ImageShape, output_shape


class PreActivationBlock(nn.Module):
    """``shortcut(x) + conv(relu(norm(conv(relu(norm(x))))))``, figure 4(e) of the paper.

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        same_shape = stride == 1 and inputs == outputs
        self.project = None if same_shape else nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        activated = self.activate(x)
        shortcut = x
        if self.project is not None:
            # Where the shape changes, the paper projects the activated input. The stride is taken
            # here and not by the convolution: the same arithmetic, and oneDNN (torch 2.15)
            # corrupts memory in 1x1 convolutions of stride 2 with 3 to 5 channels.
            shortcut = self.project(activated[:, :, :: self.stride, :: self.stride])
        result: Tensor = shortcut + self.residual(activated)
        return result


def build_resnet(config: ResNetConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A convolution, stages of residual blocks, then norm, ReLU and global average pooling."""
    channels = config.widths[0]
    conv_stride = 2 if config.stem_stride == 4 else 1
    layers: list[nn.Module] = [
        nn.Conv2d(image_shape[0], channels, 3, conv_stride, padding=1, bias=False)
    ]
    if config.stem_stride > 1:
        layers.append(nn.MaxPool2d(2))
    for stage, width in enumerate(config.widths):
        for block in range(config.blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            layers.append(PreActivationBlock(channels, width, stride))
            channels = width
    layers += [
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    ]
    features = nn.Sequential(*layers)
    output_shape(features, image_shape)  # refuses images that the strides leave nothing of
    network = Classifier(features, nn.Linear(channels, num_classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
