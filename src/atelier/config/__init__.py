"""A recipe: everything that decides a training run, as frozen and strict data."""

from .attention import CCTConfig, CoAtNetConfig, ViTConfig
from .augmentation import AugmentConfig
from .classical import (
    WITHOUT_GRADIENT,
    ClassicalConfig,
    HistGradientBoostingConfig,
    HOGSVMConfig,
    KNearestNeighborsConfig,
    LogisticConfig,
    RandomForestConfig,
)
from .convolutional import (
    DenseNetConfig,
    EfficientConfig,
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
    EnsembleConfig,
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
    "WITHOUT_GRADIENT",
    "AugmentConfig",
    "CCTConfig",
    "CNNConfig",
    "ClassicalConfig",
    "CoAtNetConfig",
    "Columns",
    "DenseNetConfig",
    "DistillationConfig",
    "EfficientConfig",
    "EnsembleConfig",
    "HOGSVMConfig",
    "HistGradientBoostingConfig",
    "HybridConfig",
    "KNearestNeighborsConfig",
    "LeNetConfig",
    "LogisticConfig",
    "MLPConfig",
    "MethodConfig",
    "MixerConfig",
    "MobileConfig",
    "ModelConfig",
    "PhotosConfig",
    "RandomForestConfig",
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
