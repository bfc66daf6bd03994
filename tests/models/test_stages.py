"""How networks are cut into stages."""

import pytest

from atelier.config import (
    CNNConfig,
    HybridConfig,
    MLPConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
)
from atelier.models import build_model, stages_of

CONFIGS = {
    "mlp": (MLPConfig(width=8, depth=3), 3),
    "cnn": (CNNConfig(channels=(4, 8), dense=8, batch_norm=True), 3),
    "resnet": (ResNetConfig(widths=(4, 8), blocks=(2,)), 5),  # the stem and four blocks
    "hybrid": (HybridConfig(channels=4, dim=8, depth=2), 5),  # stem, positions, blocks, dense
    "speednet": (SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(2, 1)), 4),
    "members": (
        SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(2, 1), members=2),
        4,
    ),
    "resnet10t": (TimmConfig(backbone="resnet10t"), 5),
    "vit": (TimmConfig(backbone="vit_tiny_patch16_224"), 13),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("blocks", [False, True])
def test_every_parameter_is_in_one_stage(name, blocks):
    features = build_model(CONFIGS[name][0], (1, 32, 32), 3).features
    found = [p for stage in stages_of(features, blocks=blocks) for p in stage]
    assert len(found) == len(set(found))
    assert set(found) == set(features.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_stages_rise_from_the_pixels(name):
    config, count = CONFIGS[name]
    features = build_model(config, (1, 32, 32), 3).features
    stages = stages_of(features)
    assert len(stages) == count
    weights = [p for p in features.parameters() if p.ndim == (2 if name == "mlp" else 4)]
    assert any(p is weights[0] for p in stages[0])
    assert not any(p is weights[0] for p in stages[-1])


def test_blocks_are_finer_than_stages():
    features = build_model(TimmConfig(backbone="mobilenetv3_small_050"), (3, 32, 32), 3).features
    assert len(stages_of(features)) < len(stages_of(features, blocks=True))


def test_members_rise_together():
    features = build_model(CONFIGS["members"][0], (1, 32, 32), 3).features
    top = stages_of(features)[-1]
    for network in features.networks:
        own = {id(p) for p in network.parameters()}
        assert sum(id(p) in own for p in top) == len(top) // 2
