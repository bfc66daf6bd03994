"""Networks of every family with seeded random weights, as explanations see them."""

import numpy as np
import pytest
import torch

from atelier.config import (
    CCTConfig,
    CNNConfig,
    CoAtNetConfig,
    HybridConfig,
    MixerConfig,
    MLPConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
    ViTConfig,
)
from atelier.explaining.subject import Subject
from atelier.models import build_model
from atelier.predictor import Predictor
from atelier.runs import ModelCard

NETWORKS = {
    "mlp": MLPConfig(width=16),
    "cnn": CNNConfig(channels=(4, 8), dense=16, batch_norm=True),
    "resnet": ResNetConfig(widths=(8, 16)),
    "hybrid": HybridConfig(channels=8, dim=16, depth=2, heads=2, dense=16),
    "speednet": SpeedNetConfig(stem_filters=8, widths=(8, 16)),
    "members": SpeedNetConfig(stem_filters=8, widths=(8, 16), members=2),
    "vit": TimmConfig(backbone="test_vit"),
    "own-vit": ViTConfig(dim=16, depth=2),
    "cct": CCTConfig(channels=(8,), dim=16, depth=2),
    "coatnet": CoAtNetConfig(stem=8, widths=(8, 16), blocks=(1, 1), strides=(1, 2), head_dim=8),
    "mixer": MixerConfig(dim=16, depth=2, patch_hidden=16, channel_hidden=16),
    "resnet18": TimmConfig(backbone="test_resnet"),
}


def make_subject(name, *, shape=(1, 28, 28), mirrored=True, shifted=True, seed=0, classes=5):
    torch.manual_seed(seed)
    config = NETWORKS[name]
    if name == "vit":  # its patches are 16 x 16
        shape = (shape[0], 64, 64)
    model = build_model(config, shape, classes).eval()
    card = ModelCard(
        model=config,
        classes=tuple(f"class {k}" for k in range(classes)),
        image_shape=shape,
        mean=(0.3,) * shape[0],
        std=(0.35,) * shape[0],
        background=0 if shape[0] == 1 else 250,
        mirror_average=mirrored,
        shift_average=shifted,
    )
    return Subject(Predictor(model, card, device="cpu"))


def make_images(subject, count=2, seed=0):
    """Soft blobs: noise would leave nothing to tell views apart by."""
    rng = np.random.default_rng(seed)
    channels, height, width = subject.card.image_shape
    y, x = np.mgrid[:height, :width]
    images = np.empty((count, channels, height, width), np.uint8)
    for image in images:
        for channel in image:
            cy, cx = rng.uniform(0.2, 0.8, 2) * (height, width)
            size = rng.uniform(0.15, 0.3) * height
            blob = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
            channel[:] = 255 * blob
    return images


@pytest.fixture(params=list(NETWORKS))
def family(request):
    return request.param
