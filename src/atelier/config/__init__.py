"""A recipe: everything that decides a training run, as frozen and strict data."""

from .attention import CCTConfig, CoAtNetConfig, ViTConfig
from .augmentation import AugmentConfig
from .convolutional import (
    DenseNetConfig,
    EfficientConfig,
    EnsembleConfig,
    LeNetConfig,
    MobileConfig,
    ResNetConfig,
    ShakeShakeConfig,
    VGGConfig,
)
from .feedforward import MixerConfig, ResidualMLPConfig
from .methods import DistillationConfig, MethodConfig, SupervisedConfig
from .networks import (
    CNNConfig,
    HybridConfig,
    MLPConfig,
    ModelConfig,
    SpeedNetConfig,
    TimmConfig,
)
from .photos import Columns, PhotosConfig
from .recipe import Recipe
from .training import TrainConfig

__all__ = [
    "AugmentConfig",
    "CCTConfig",
    "CNNConfig",
    "CoAtNetConfig",
    "Columns",
    "DenseNetConfig",
    "DistillationConfig",
    "EfficientConfig",
    "EnsembleConfig",
    "HybridConfig",
    "LeNetConfig",
    "MLPConfig",
    "MethodConfig",
    "MixerConfig",
    "MobileConfig",
    "ModelConfig",
    "PhotosConfig",
    "Recipe",
    "ResNetConfig",
    "ResidualMLPConfig",
    "ShakeShakeConfig",
    "SpeedNetConfig",
    "SupervisedConfig",
    "TimmConfig",
    "TrainConfig",
    "VGGConfig",
    "ViTConfig",
]
