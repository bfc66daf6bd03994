"""A recipe: everything that decides a training run, as frozen and strict data."""

from .augmentation import AugmentConfig
from .methods import DistillationConfig, MethodConfig, SupervisedConfig
from .networks import (
    CNNConfig,
    HybridConfig,
    MLPConfig,
    ModelConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
)
from .photos import Columns, PhotosConfig
from .recipe import Recipe
from .training import TrainConfig

__all__ = [
    "AugmentConfig",
    "CNNConfig",
    "Columns",
    "DistillationConfig",
    "HybridConfig",
    "MLPConfig",
    "MethodConfig",
    "ModelConfig",
    "PhotosConfig",
    "Recipe",
    "ResNetConfig",
    "SpeedNetConfig",
    "SupervisedConfig",
    "TimmConfig",
    "TrainConfig",
]
