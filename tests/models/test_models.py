"""Every model in the table, at many sizes: shapes, gradients, costs, and what it refuses."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atelier.config import CNNConfig, HybridConfig, MLPConfig, ResNetConfig, SpeedNetConfig
from atelier.errors import ConfigError
from atelier.models import MODELS, Classifier, build_model, model_cost
from atelier.models.cnn import build_cnn
from atelier.models.speednet import Residual
from atelier.models.transformer import Attention
from atelier.recipes import RECIPES

CONFIGS = {
    "mlp": MLPConfig(),
    "mlp-plain": MLPConfig(batch_norm=False, dropout=0.0, depth=1, width=16),
    "cnn": CNNConfig(),
    "cnn-all": CNNConfig(batch_norm=True, dropout=0.5),
    "resnet": ResNetConfig(),
    "resnet-fine": ResNetConfig(stem_stride=1, blocks=(2,), widths=(8, 16)),
    "resnet-coarse": ResNetConfig(stem_stride=4, widths=(8,)),
    "hybrid": HybridConfig(),
    "hybrid-all": HybridConfig(dropout=0.3, mlp_ratio=0.01, heads=1, depth=1),
    "speednet": SpeedNetConfig(),
    "speednet-all": SpeedNetConfig(
        stem="convolution",
        stem_filters=6,
        widths=(8,),
        convolutions=(3,),
        residual=True,
        dropout=0.3,
    ),
    "speednet-members": SpeedNetConfig(
        stem_convolutions=1, stem_filters=8, widths=(8,), convolutions=(1,), members=3
    ),
}
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 40, 24), (4, 9, 17)]
# The least side that each can do with, by what its strides and poolings leave.
LEAST = {
    "mlp": 1,
    "mlp-plain": 1,
    "cnn": 4,
    "cnn-all": 4,
    "resnet": 2,
    "resnet-fine": 1,
    "resnet-coarse": 3,
    "hybrid": 4,
    "hybrid-all": 4,
    "speednet": 8,
    "speednet-all": 4,
    "speednet-members": 4,
}


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


def test_every_recipe_has_its_model():
    # But for timm's, which have a recipe for each name, and for what is made of runs.
    assert {build().model.name for build in RECIPES.values()} == set(MODELS) - {"timm", "ensemble"}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_gradients_at_every_size(name, shape):
    model = build_model(CONFIGS[name], shape, 7)
    assert isinstance(model, Classifier)
    logits = model(torch.randn(3, *shape))
    assert logits.shape == (3, 7)
    F.cross_entropy(logits, torch.tensor([0, 3, 6])).backward()
    # Whitening filters are computed from the images and not learned; all else is.
    learned = {path: p for path, p in model.named_parameters() if p.requires_grad}
    frozen = {path for path, _ in model.named_parameters()} - learned.keys()
    assert len(frozen) == {"speednet": 1, "speednet-members": 3}.get(name, 0)
    for path, parameter in learned.items():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
    # A bias before a softmax over its own outputs may cancel; a weight never does.
    assert all(p.grad.abs().sum() > 0 for p in learned.values() if p.ndim > 1 and p.numel() > 64)


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_head_of_the_features(name):
    model = build_model(CONFIGS[name], (1, 28, 28), 5).eval()
    images = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        features = model.features(images)
        assert features.ndim == 2
        assert isinstance(model.head, nn.Linear)
        assert torch.equal(model.head(features), model(images))


@pytest.mark.parametrize("name", CONFIGS)
def test_an_image_is_judged_alone_and_left_as_it_is(name):
    model = build_model(CONFIGS[name], (1, 12, 20), 5).eval()
    images = torch.randn(4, 1, 12, 20)
    kept = images.clone()
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(together, alone, atol=1e-5)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_least_size_works_and_a_smaller_one_is_refused(name):
    least = LEAST[name]
    model = build_model(CONFIGS[name], (1, least, least), 3).eval()
    assert model(torch.zeros(2, 1, least, least)).shape == (2, 3)
    if least > 1:
        for height, width in ((least - 1, 28), (28, least - 1)):
            with pytest.raises(ConfigError) as caught:
                build_model(CONFIGS[name], (1, height, width), 3)
            said = f"images of {height} x {width} pixels are too small for it"
            assert str(caught.value) == f"cannot build {CONFIGS[name].name}: {said}"


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_seed_builds_the_same_model(name):
    def built(seed):
        torch.manual_seed(seed)
        return build_model(CONFIGS[name], (1, 28, 28), 5).state_dict()

    first, again, other = built(1), built(1), built(2)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_new_model_is_in_training_mode(name):
    model = build_model(CONFIGS[name], (1, 28, 28), 5)
    assert all(module.training for module in model.modules())


def test_the_cost_of_the_cnn_is_that_counted_by_hand():
    cost = model_cost(build_model(CNNConfig(), (1, 28, 28), 10), (1, 28, 28))
    assert cost.parameters == (9 * 32 + 32) + (32 * 9 * 64 + 64) + (3136 * 128 + 128) + (1290)
    convolutions = 28 * 28 * 32 * 9 + 14 * 14 * 64 * 32 * 9
    assert cost.multiply_adds == convolutions + 3136 * 128 + 128 * 10


def test_the_cost_of_the_mlp_is_that_counted_by_hand():
    config = MLPConfig(depth=2, width=8, batch_norm=False)
    cost = model_cost(build_model(config, (3, 4, 5), 10), (3, 4, 5))
    assert cost.multiply_adds == 60 * 8 + 8 * 8 + 8 * 10
    assert cost.parameters == cost.multiply_adds + 8 + 8 + 10


def test_the_cost_of_the_hybrid_counts_its_attention():
    config = HybridConfig(channels=4, dim=8, depth=1, heads=2, dense=16)
    cost = model_cost(build_model(config, (1, 8, 8), 3), (1, 8, 8))
    stem = 64 * 4 * 9 + 16 * 8 * 4 * 9
    tokens = 4
    attention = tokens * 8 * 24 + 2 * tokens * tokens * 8 + tokens * 8 * 8
    feedforward = 2 * tokens * 8 * 16
    dense = tokens * 8 * 16
    assert cost.multiply_adds == stem + attention + feedforward + dense + 16 * 3


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_as_it_was(training):
    model = build_model(CONFIGS["cnn-all"], (1, 28, 28), 10).train(training)
    before = json.dumps({k: v.tolist() for k, v in model.state_dict().items() if "running" in k})
    model_cost(model, (1, 28, 28))
    after = json.dumps({k: v.tolist() for k, v in model.state_dict().items() if "running" in k})
    assert before == after
    assert model.training is training


def test_building_leaves_batch_statistics_as_new():
    model = build_model(CONFIGS["cnn-all"], (1, 28, 28), 10)
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, torch.ones_like(buffer) * name.endswith("running_var"))


@pytest.mark.parametrize("size", [(28, 28), (15, 22)])
def test_pooling_before_relu_is_pooling_after_it(size):
    x = torch.randn(3, 5, *size)
    assert torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2))


def test_the_cnn_is_the_one_that_tutorials_build():
    model = build_cnn(CNNConfig(), (1, 28, 28), 10).eval()
    conv1, conv2 = (m for m in model.features if isinstance(m, nn.Conv2d))
    dense = next(m for m in model.features if isinstance(m, nn.Linear))
    tutorial = nn.Sequential(
        conv1, nn.ReLU(), nn.MaxPool2d(2), conv2, nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), dense, nn.ReLU(), model.head,
    )  # fmt: skip
    images = torch.randn(4, 1, 28, 28)
    assert torch.equal(model(images), tutorial(images))


@pytest.mark.parametrize(("dim", "heads"), [(8, 1), (12, 3), (64, 4)])
def test_attention_is_that_of_torch(dim, heads):
    attention = Attention(dim, heads).eval()
    x = torch.randn(2, 10, dim)
    q, k, v = (
        part.view(2, 10, heads, dim // heads).transpose(1, 2)
        for part in attention.to_qkv(x).chunk(3, dim=-1)
    )
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(2, 10, dim)
    assert torch.allclose(attention(x), attention.mix(expected), atol=1e-6)


def test_the_hybrid_knows_where_things_are():
    model = build_model(HybridConfig(), (1, 28, 28), 10).eval()
    images = torch.randn(1, 1, 28, 28)
    tokens = model.features[1]
    before = model(images)
    with torch.no_grad():
        tokens.position.copy_(tokens.position.flip(1) + 1)
    assert not torch.allclose(model(images), before, atol=1e-4)


def test_resnet_halves_the_resolution_in_every_stage_but_the_first():
    model = build_model(ResNetConfig(widths=(4, 8, 16), blocks=(2,)), (1, 32, 32), 10)
    sides = []
    for module in model.features:
        module.register_forward_hook(lambda _m, _i, out: sides.append(tuple(out.shape[1:])))
    model(torch.randn(2, 1, 32, 32))
    stages = [(4, 32, 32)] + [(4, 16, 16)] * 3 + [(8, 8, 8)] * 2 + [(16, 4, 4)] * 2
    assert sides[:8] == stages
    assert sides[-1] == (16,)


def test_a_residual_adds_its_module_to_its_input():
    module = nn.Conv2d(3, 3, 3, padding=1)
    images = torch.randn(2, 3, 5, 5)
    assert torch.equal(Residual(module)(images), images + module(images))


def test_a_residual_speednet_adds_in_all_but_the_first_convolution_of_a_group():
    def blocks(residual):
        config = SpeedNetConfig(widths=(8, 16), convolutions=(3, 2), residual=residual)
        model = build_model(config, (1, 28, 28), 10)
        convolutions = sum(isinstance(m, nn.Conv2d) for m in model.modules())
        return convolutions, sum(isinstance(m, Residual) for m in model.modules())

    assert blocks(residual=False) == (6, 0)
    assert blocks(residual=True) == (6, 3)


def test_the_cost_of_a_speednet_is_that_counted_by_hand():
    config = SpeedNetConfig(stem_filters=4, widths=(8, 6), convolutions=(1, 2))
    cost = model_cost(build_model(config, (3, 32, 32), 10), (3, 32, 32))
    convolutions = (4 * 8 * 9, 8 * 6 * 9, 6 * 6 * 9)
    stem_bias, norms, head = 4, 2 * (8 + 6 + 6), 6 * 10
    # Without the stem's frozen filters.
    assert cost.parameters == sum(convolutions) + stem_bias + norms + head
    places = (16 * 16, 8 * 8, 4 * 4)
    stem = 16 * 16 * 4 * 3 * 16
    products = sum(n * size for n, size in zip(places, convolutions, strict=True))
    assert cost.multiply_adds == stem + products + head


def test_members_speak_for_themselves_and_together_by_their_mean():
    config = SpeedNetConfig(widths=(8,), convolutions=(2,), members=3)
    model = build_model(config, (1, 28, 28), 10).eval()
    images = torch.randn(4, 1, 28, 28)
    each = model(images, each=True)
    assert each.shape == (4, 3, 10)
    assert torch.allclose(each.mean(dim=1), model(images), atol=1e-6)
    # Each is the network that it would be alone, under its own part of the head.
    network = model.features.networks[1]
    width = model.head.in_features // 3
    alone = F.linear(3 * network(images), model.head.weight[:, width : 2 * width])
    assert torch.allclose(each[:, 1], alone, atol=1e-6)
    assert not torch.allclose(each[:, 0], each[:, 1], atol=1e-3)


def test_members_cost_what_so_many_networks_cost():
    def cost(members):
        config = SpeedNetConfig(widths=(8,), convolutions=(2,), members=members)
        return model_cost(build_model(config, (1, 28, 28), 10), (1, 28, 28))

    assert cost(3) == (3 * cost(1).parameters, 3 * cost(1).multiply_adds)


def test_the_logits_of_a_speednet_grow_with_its_scale():
    def logits(scale):
        torch.manual_seed(0)
        return build_model(SpeedNetConfig(scale=scale), (1, 28, 28), 10).eval()(images)

    images = torch.randn(2, 1, 28, 28)
    assert torch.allclose(logits(0.5), 5 * logits(0.1), atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn", "hybrid", "speednet"])
def test_dropout_is_off_in_evaluation_and_on_in_training(name):
    config = type(CONFIGS[name])(dropout=0.5)
    model = build_model(config, (1, 28, 28), 10)
    images = torch.randn(4, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_new_model_is_not_sure_of_anything(name):
    model = build_model(CONFIGS[name], (1, 28, 28), 10)
    loss = F.cross_entropy(model(torch.randn(64, 1, 28, 28)), torch.arange(64) % 10)
    assert loss.item() < 2 * math.log(10)
