"""Residual MLP and MLP-Mixer, beside the networks of their papers."""

import pytest
import torch
import torch.nn.functional as F
from timm.models.mlp_mixer import MixerBlock as TimmBlock

from atelier.config import MixerConfig, ResidualMLPConfig
from atelier.errors import ConfigError
from atelier.models import Classifier, build_model, model_cost, stages_of
from atelier.models.mixer import MixerBlock

CONFIGS = {
    "residual-mlp": ResidualMLPConfig(depth=2, width=16, hidden=24, drop_path=0.2),
    "mixer": MixerConfig(dim=12, depth=2, patch_hidden=8, channel_hidden=16, drop_path=0.2),
}
SHAPES = [(1, 28, 28), (3, 32, 32), (4, 8, 20)]


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_two_steps_at_every_size_lower_the_loss(name, shape):
    model = build_model(CONFIGS[name], shape, 7)
    assert isinstance(model, Classifier)
    images, labels = torch.randn(8, *shape), torch.arange(8) % 7
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(3):
        logits = model.eval()(images)
        assert logits.shape == (8, 7)
        losses.append(F.cross_entropy(logits, labels).item())
        optimizer.zero_grad()
        F.cross_entropy(model.train()(images), labels).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
    assert losses[2] < losses[0]


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_head_of_the_features_of_each_image_alone(name):
    model = build_model(CONFIGS[name], (1, 28, 28), 5).eval()
    images = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        together = model(images)
        assert torch.equal(model.head(model.features(images)), together)
        alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_residual_mlp_is_the_one_of_the_paper():
    config = ResidualMLPConfig(depth=1, width=6, hidden=10)
    model = build_model(config, (2, 3, 4), 5)
    model(torch.randn(64, 2, 3, 4))  # so that the norms have seen something
    model.eval()
    first, block, last_norm = model.features[1], model.features[2].module, model.features[3]
    images = torch.randn(5, 2, 3, 4)
    with torch.no_grad():
        x = first(images.flatten(1))
        x = x + block[4](F.relu(block[1](block[0](x))))
        expected = model.head(F.relu(last_norm(x)))
        assert torch.allclose(model(images), expected, atol=1e-6)


def test_a_mixer_block_is_that_of_timm():
    ours = MixerBlock(9, 8, 5, 20, dropout=0.0, drop_path=0.0).eval()
    theirs = TimmBlock(8, 9, mlp_ratio=(5 / 8, 20 / 8)).eval()
    pairs = [
        (theirs.norm1, ours.norm),
        (theirs.mlp_tokens.fc1, ours.across_patches[0]),
        (theirs.mlp_tokens.fc2, ours.across_patches[2]),
        (theirs.norm2, ours.across_channels[0]),
        (theirs.mlp_channels.fc1, ours.across_channels[1]),
        (theirs.mlp_channels.fc2, ours.across_channels[3]),
    ]
    for to, of in pairs:
        to.load_state_dict(of.state_dict())
    for norm in (theirs.norm1, theirs.norm2):
        norm.eps = ours.norm.eps
    x = torch.randn(3, 9, 8)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_the_costs_are_those_counted_by_hand():
    config = ResidualMLPConfig(depth=2, width=6, hidden=10)
    cost = model_cost(build_model(config, (1, 4, 5), 3), (1, 4, 5))
    assert cost.multiply_adds == 20 * 6 + 2 * 2 * 6 * 10 + 6 * 3
    config = MixerConfig(patch=2, dim=6, depth=2, patch_hidden=5, channel_hidden=7)
    cost = model_cost(build_model(config, (3, 4, 6), 3), (3, 4, 6))
    patches = 6
    block = 6 * 2 * patches * 5 + patches * 2 * 6 * 7
    assert cost.multiply_adds == patches * 12 * 6 + 2 * block + 6 * 3


def test_patches_that_do_not_divide_the_image_are_refused_with_those_that_do():
    said = (
        r"cannot build mixer: images of 30 x 45 pixels cannot be cut into patches of 4 x 4: "
        r"set model.patch to 3 or 5 or 15, or take images whose sides are multiples of 4"
    )
    with pytest.raises(ConfigError, match=said):
        build_model(MixerConfig(), (1, 30, 45), 3)
    with pytest.raises(ConfigError, match=r"patches of 4 x 4: take images whose sides"):
        build_model(MixerConfig(), (1, 29, 28), 3)


@pytest.mark.parametrize(("name", "count"), [("residual-mlp", 3), ("mixer", 3)])
def test_every_block_is_a_stage(name, count):
    features = build_model(CONFIGS[name], (1, 28, 28), 3).features
    stages = stages_of(features)
    assert len(stages) == count
    assert {p for stage in stages for p in stage} == set(features.parameters())


@pytest.mark.parametrize("recipe", ["residual-mlp", "mlp-wide", "mixer"])
def test_the_recipe_trains(train_tiny, tmp_path, recipe):
    narrow = ["model.dim=8"] if recipe == "mixer" else ["model.width=16", "model.hidden=16"]
    run = train_tiny(tmp_path / recipe, *narrow, "model.depth=1", recipe=recipe)
    first, last = run.history
    assert last["train/loss"] < first["train/loss"]
