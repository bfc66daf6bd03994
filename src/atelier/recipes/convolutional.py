"""The convolutional families, each by a schedule fixed beforehand on all training images.

To choose between settings, hold images out: ``train.validation_share=0.083``.
"""

from __future__ import annotations

from typing import Any

from ..config import (
    AugmentConfig,
    DenseNetConfig,
    EfficientConfig,
    LeNetConfig,
    MobileConfig,
    ModelConfig,
    Recipe,
    ResNetConfig,
    ShakeShakeConfig,
    SpeedNetConfig,
    TrainConfig,
    VGGConfig,
)
from .fast import short_training


def lenet() -> Recipe:
    """LeNet-5 (LeCun et al. 1998): what was read on bank checks, trained as today."""
    return _adamw("lenet", LeNetConfig(), num_epochs=20, lr=3e-3)


def vgg() -> Recipe:
    """A plain stack of 3x3 convolutions with batch norm (arXiv:1409.1556)."""
    return _muon("vgg", VGGConfig(), num_epochs=12)


def preact_resnet() -> Recipe:
    """A pre-activation residual network (arXiv:1603.05027), two blocks a stage on a pooled stem."""
    return _muon("preact-resnet", _RESNET, num_epochs=16)


def se_resnet() -> Recipe:
    """The network of `preact-resnet` with squeeze-and-excitation (arXiv:1709.01507)."""
    return _muon("se-resnet", _RESNET.model_copy(update={"attention": "se"}), num_epochs=16)


def cbam_resnet() -> Recipe:
    """The network of `preact-resnet` with attention to channels and places (arXiv:1807.06521)."""
    return _muon("cbam-resnet", _RESNET.model_copy(update={"attention": "cbam"}), num_epochs=16)


def mobile() -> Recipe:
    """Inverted residuals around depthwise convolutions (arXiv:1801.04381)."""
    return _adamw("mobile", MobileConfig(dropout=0.1), num_epochs=20, lr=4e-3)


def efficient() -> Recipe:
    """Inverted residuals with squeeze-and-excitation and SiLU (arXiv:1905.11946)."""
    return _adamw("efficient", EfficientConfig(dropout=0.1, drop_path=0.1), num_epochs=20, lr=4e-3)


def densenet() -> Recipe:
    """DenseNet-BC (arXiv:1608.06993) of 52 layers and growth 12, on a pooled stem."""
    return _sgd("densenet", DenseNetConfig(), num_epochs=30)


def wrn_16_4() -> Recipe:
    """Wide ResNet of 16 layers, four times as wide (arXiv:1605.07146): for a GPU.

    Dropout as in the paper; random erasing as in the one that measured it on Fashion-MNIST
    (Zhong et al. 2017, arXiv:1708.04896).
    """
    model = ResNetConfig(widths=(16, 32, 64), widen=4, blocks=(2,), stem_stride=1, dropout=0.3)
    return _long("wrn-16-4", model, num_epochs=120, erase_probability=0.5)


def shake_shake() -> Recipe:
    """Shake-Shake 26 2x96d (arXiv:1705.07485) with cutout of 16 pixels (arXiv:1708.04552): for a
    GPU, meant for 96.4 % in ten minutes, at 4.9 s an epoch on an H100; not trained to its end yet.
    """
    recipe = _long("shake-shake", ShakeShakeConfig(width=96), num_epochs=120, cutout=16)
    return recipe.changed({"train.batch_size": 256, "train.lr": 0.2})


def small_100k() -> Recipe:
    """Under 100,000 parameters, 94 % in under an hour on one core.

    A residual network of `speednet`'s parts, with more convolutions where the resolution is fine:
    there a filter's weights do the most work. 94.62 % of the test images (94.16 to 95.05), one
    seed, 50 minutes on one shared core of a Zen 3 EPYC in float32.
    """
    model = SpeedNetConfig(stem_convolutions=2, widths=(40, 56), convolutions=(2, 2), residual=True)
    return _pruned("small-100k", model, num_epochs=60, lr=0.04)


def small_200k() -> Recipe:
    """Under 200,000 parameters, 94.5 % in half an hour on two cores.

    A narrow pre-activation network (arXiv:1603.05027) at the full resolution, its filters learned
    by Muon. 94.58 % of the test images (94.12 to 95.01), one seed, 28 minutes of two cores of a
    Zen 3 EPYC in float32.
    """
    return _narrow("small-200k", num_epochs=21)


def small_200k_long() -> Recipe:
    """The network of `small-200k` for half as long again: 95 % in an hour on one core.

    94.97 % of the test images (94.52 to 95.38), one seed, where 4,980 training images were held out
    (95.70 % of these); 62 minutes of one shared core of a Zen 3 EPYC in float32, by its median
    epoch.
    """
    return _narrow("small-200k-long", num_epochs=32)


def small_1m() -> Recipe:
    """Under 1 M parameters, meant for 94.8 % and short of it.

    `fast-94` and its widths for a longer time, that is made up for by leaving out images that are
    learned. 94.50 % of the test images (94.04 to 94.93), one seed, 61 minutes on one shared core of
    a Zen 3 EPYC in float32.
    """
    model = SpeedNetConfig(stem_convolutions=1, widths=(96, 192), convolutions=(2, 3))
    recipe = _pruned("small-1m", model, num_epochs=20, lr=0.03)
    return recipe.changed({"augment.cutout": 8})


_RESNET = ResNetConfig(widths=(32, 64, 128), blocks=(2,))


def _muon(name: str, model: ModelConfig, *, num_epochs: int) -> Recipe:
    train = short_training(num_epochs, lr=0.04, sgd_lr=0.1, validation_share=0)
    return _recipe(name, model, train)


def _adamw(name: str, model: ModelConfig, *, num_epochs: int, lr: float) -> Recipe:
    """Networks whose filters are depthwise or dense layers: nothing for Muon."""
    train = _fixed(num_epochs, lr=lr, weight_decay=0.02)
    return _recipe(name, model, train)


def _sgd(name: str, model: ModelConfig, *, num_epochs: int, **augment: Any) -> Recipe:
    """As the papers train, but by one cycle instead of steps."""
    train = _fixed(num_epochs, optimizer="sgd", lr=0.1, weight_decay=5e-4)
    return _recipe(name, model, train, **augment)


def _long(name: str, model: ModelConfig, *, num_epochs: int, **augment: Any) -> Recipe:
    """The papers' cosine, for a GPU, whose narrow formats are as good and faster."""
    recipe = _sgd(name, model, num_epochs=num_epochs, **augment)
    return recipe.changed(
        {"train.schedule": "cosine", "train.warmup_epochs": 1, "train.precision": "auto"}
    )


def _narrow(name: str, *, num_epochs: int) -> Recipe:
    model = ResNetConfig(widths=(16, 32, 64), blocks=(2,), stem_stride=1)
    recipe = _pruned(name, model, num_epochs=num_epochs, lr=0.03)
    return recipe.changed({"augment.cutout": 6, "train.sgd_lr": 0.1, "train.warmup_epochs": 3})


def _pruned(name: str, model: ModelConfig, *, num_epochs: int, lr: float) -> Recipe:
    train = short_training(num_epochs, lr=lr, sgd_lr=0.5, prune=0.5, validation_share=0)
    return _recipe(name, model, train)


def _fixed(num_epochs: int, **options: Any) -> TrainConfig:
    return TrainConfig(
        num_epochs=num_epochs,
        schedule="one-cycle",
        warmup_epochs=0.1 * num_epochs,
        label_smoothing=0.1,
        keep="last",
        validation_share=0,
        **options,
    )


def _recipe(name: str, model: ModelConfig, train: TrainConfig, **augment: Any) -> Recipe:
    return Recipe(
        name=name,
        model=model,
        augment=AugmentConfig(mirror="alternating", crop_padding=1, **augment),
        mirror_average=True,
        shift_average=True,
        train=train,
    )
