"""Networks, each buildable at any input size and channel count, in one literal table.

Every network maps (N, C, H, W) float images to (N, K) logits as ``head(features(images))``, so that
its (N, D) embedding is `features` for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..devices import leave_compiler_out
from ..errors import ConfigError
from .backbones import build_timm
from .cct import build_cct
from .classical import (
    build_hist_gradient_boosting,
    build_hog_svm,
    build_k_nearest_neighbors,
    build_logistic,
    build_random_forest,
    num_fitted,
)
from .classifier import Classifier, ImageShape
from .cnn import build_cnn
from .coatnet import build_coatnet
from .densenet import build_densenet
from .efficient import build_efficient
from .ensemble import build_ensemble
from .hybrid import build_hybrid
from .lenet import build_lenet
from .mixer import build_mixer
from .mlp import build_mlp
from .mobile import build_mobile
from .residual_mlp import build_residual_mlp
from .resnet import build_resnet
from .shakeshake import build_shakeshake
from .speednet import build_speednet
from .stages import stages_of
from .stems import fit_whitening
from .transplant import fit_weights
from .vgg import build_vgg
from .vit import build_vit

__all__ = [
    "MODELS",
    "Classifier",
    "Cost",
    "ImageShape",
    "build_model",
    "fit_weights",
    "fit_whitening",
    "model_cost",
    "stages_of",
]

MODELS: dict[str, Callable[[Any, ImageShape, int], Classifier]] = {
    "mlp": build_mlp,
    "cnn": build_cnn,
    "resnet": build_resnet,
    "lenet": build_lenet,
    "vgg": build_vgg,
    "densenet": build_densenet,
    "shake-shake": build_shakeshake,
    "mobile": build_mobile,
    "efficient": build_efficient,
    "hybrid": build_hybrid,
    "speednet": build_speednet,
    "timm": build_timm,
    "logistic": build_logistic,
    "hog-svm": build_hog_svm,
    "random-forest": build_random_forest,
    "hist-gradient-boosting": build_hist_gradient_boosting,
    "k-nearest-neighbors": build_k_nearest_neighbors,
    "ensemble": build_ensemble,
    "residual-mlp": build_residual_mlp,
    "mixer": build_mixer,
    "vit": build_vit,
    "cct": build_cct,
    "coatnet": build_coatnet,
}


def build_model(config: ModelConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """A freshly initialized network, drawn from torch's global generator.

    Args:
        config: the options of one entry of `MODELS`.
        image_shape: (channels, height, width) of the images.
        num_classes: K, the number of logits.

    Raises:
        ConfigError: the images are too small for the network.
    """
    try:
        return MODELS[config.name](config, image_shape, num_classes)
    except ValueError as error:
        raise ConfigError(f"cannot build {config.name}: {error}") from error


class Cost(NamedTuple):
    """What a network weighs and what one image costs it."""

    parameters: int
    multiply_adds: int


def model_cost(model: nn.Module, image_shape: ImageShape) -> Cost:
    """Count the trainable parameters, and the multiply-adds of one image's forward pass.

    Of a classical model all numbers are counted that fitting has found, a nearest neighbor's pixels
    too. Multiply-adds are matrix products and convolutions, as is usual; element-wise work is not.
    """
    # Here, for it takes a tenth of a second to import, and predicting does not need it.
    from torch.utils import flop_counter

    leave_compiler_out(getattr(flop_counter, "_FlopCounterMode", type), "__torch_dispatch__")
    was_training = model.training
    device = next(model.parameters()).device
    model.eval()
    with torch.no_grad(), flop_counter.FlopCounterMode(display=False) as counter:
        images: Tensor = torch.zeros(1, *image_shape, device=device)
        model(images)
    model.train(was_training)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Cost(parameters + num_fitted(model), counter.get_total_flops() // 2)
