"""The convolutional families: shapes, costs known from the papers, options, and what other parts of
the house ask of them."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.mobilenetv2 import InvertedResidual as TorchvisionInvertedResidual

from atelier.config import (
    DenseNetConfig,
    EfficientConfig,
    LeNetConfig,
    MobileConfig,
    ResNetConfig,
    ShakeShakeConfig,
    VGGConfig,
)
from atelier.errors import ConfigError
from atelier.explaining.layers import deepest_maps
from atelier.models import build_model, model_cost, stages_of
from atelier.models.droppath import DropPath
from atelier.models.mobile import InvertedResidual, Style
from atelier.models.resnet import PreActivationBlock
from atelier.recipes import RECIPES, get_recipe

CIFAR = (3, 32, 32)
CONFIGS = {
    "lenet": LeNetConfig(dropout=0.2),
    "vgg": VGGConfig(widths=(4, 8), convolutions=(1, 2), dense=8),
    "vgg-plain": VGGConfig(widths=(8,), convolutions=(2,), dense=8, batch_norm=False, dropout=0.0),
    "resnet-se": ResNetConfig(widths=(4, 8), attention="se", drop_path=0.2),
    "resnet-cbam": ResNetConfig(widths=(4, 8), attention="cbam", stem_stride=1),
    "resnet-wide": ResNetConfig(widths=(4, 8), widen=2, stem_stride=1, dropout=0.3),
    "densenet": DenseNetConfig(growth=4, layers=(2, 2), dropout=0.2),
    "shake-shake": ShakeShakeConfig(width=4, blocks=1),
    "mobile": MobileConfig(widths=(8, 12), blocks=(1, 2), top=16, dropout=0.1),
    "mobile-narrow": MobileConfig(widths=(8,), blocks=(2,), top=16, expand=1, stem_stride=1),
    "efficient": EfficientConfig(widths=(8, 12), blocks=(2, 2), kernels=(3, 5), drop_path=0.2),
}
# The least side that each can do with, by what its strides and poolings leave.
LEAST = {
    "lenet": 12,
    "vgg": 4,
    "vgg-plain": 2,
    "resnet-se": 2,
    "densenet": 4,
    "mobile": 2,
    "efficient": 2,
}
RECIPE_NAMES = (
    *("lenet", "vgg", "preact-resnet", "se-resnet", "cbam-resnet", "wrn-16-4", "densenet"),
    *("shake-shake", "mobile", "efficient", "small-100k", "small-1m", "small-1m-long"),
    *("small-200k", "small-200k-long", "fast-95"),
    *("gpu-94", "gpu-95", "gpu-96", "gpu-96-long", "gpu-96-flat"),
)
# What makes each recipe small enough to be trained in a test.
NARROW = {
    "lenet": (),
    "vgg": ("model.widths=[4,8]", "model.convolutions=[1,1]", "model.dense=8"),
    "resnet": ("model.widths=[4,8]", "model.blocks=1", "model.widen=1", "model.stem_stride=4"),
    "densenet": ("model.growth=4", "model.layers=[1,1]"),
    "shake-shake": ("model.width=2", "model.blocks=1"),
    "mobile": ("model.widths=[4,8]", "model.blocks=[1,1]", "model.top=8"),
    "efficient": ("model.widths=[4,8]", "model.blocks=[1,1]", "model.kernels=[3,5]"),
    "speednet": ("model.stem_filters=8", "model.widths=[4,8]", "model.convolutions=[1,2]"),
}


@pytest.fixture(autouse=True)
def same_draws():
    torch.manual_seed(0)


def settled(config, num_classes):
    """A network with batch statistics of its own: with new ones its depths say next to nothing."""
    model = build_model(config, (1, 28, 28), num_classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model(torch.randn(16, 1, 28, 28))
    return model.eval()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 96, 96), (4, 13, 20)], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_gradients_at_every_size(name, shape):
    model = build_model(CONFIGS[name], shape, 7)
    logits = model(torch.randn(8, *shape))
    assert logits.shape == (8, 7)
    F.cross_entropy(logits, torch.arange(8) % 7).backward()
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path


@pytest.mark.parametrize("name", CONFIGS)
def test_an_image_is_judged_alone_and_left_as_it_is(name):
    model = settled(CONFIGS[name], 5)
    images = torch.randn(3, 1, 28, 28)
    kept = images.clone()
    with torch.no_grad():
        together = model(images)
        assert torch.allclose(together, torch.cat([model(x[None]) for x in images]), atol=1e-5)
        assert torch.equal(together, model.head(model.features(images)))
        assert together.std(dim=0).min() > 1e-3  # and not all alike
    assert torch.equal(images, kept)


@pytest.mark.parametrize("name", LEAST)
def test_the_least_size_works_and_a_smaller_one_is_refused(name):
    least = LEAST[name]
    model = build_model(CONFIGS[name], (1, least, least), 3).eval()
    assert model(torch.zeros(2, 1, least, least)).shape == (2, 3)
    with pytest.raises(ConfigError) as caught:
        build_model(CONFIGS[name], (1, least - 1, 28), 3)
    said = f"images of {least - 1} x 28 pixels are too small for it"
    assert str(caught.value) == f"cannot build {CONFIGS[name].name}: {said}"


@pytest.mark.parametrize(
    ("config", "shape", "parameters"),
    [
        (LeNetConfig(), (1, 28, 28), 61_706),
        # The papers' networks for CIFAR-10: 0.27, 2.7 and 0.8 M parameters.
        (ResNetConfig(widths=(16, 32, 64), blocks=(3,), stem_stride=1), CIFAR, 0.27e6),
        (ResNetConfig(widths=(16, 32, 64), widen=4, blocks=(2,), stem_stride=1), CIFAR, 2.7e6),
        (DenseNetConfig(layers=(16, 16, 16), stem_stride=1), CIFAR, 0.8e6),
    ],
    ids=["lenet-5", "resnet-20", "wrn-16-4", "densenet-bc-100-12"],
)
def test_as_many_parameters_as_in_the_literature(config, shape, parameters):
    assert model_cost(build_model(config, shape, 10), shape).parameters == pytest.approx(
        parameters, rel=0 if parameters == 61_706 else 0.05
    )


def test_a_residual_network_has_as_many_blocks_in_each_stage_as_are_asked_for():
    uneven = build_model(ResNetConfig(widths=(4, 8), blocks=(1, 3)), (1, 28, 28), 3)
    blocks = [m for m in uneven.modules() if isinstance(m, PreActivationBlock)]
    assert [(block.residual[0].out_channels, block.stride) for block in blocks] == [
        *((4, 1), (8, 2), (8, 1), (8, 1)),
    ]
    for said in ("2", "[2]", "[2,2,2]"):
        recipe = get_recipe("preact-resnet", overrides=[f"model.blocks={said}"])
        assert recipe.model.depths == (2, 2, 2)
    with pytest.raises(ConfigError, match="widths has 3 stages and blocks 2"):
        get_recipe("preact-resnet", overrides=["model.blocks=[1,2]"])


def test_the_recipe_resnet_keeps_the_names_of_its_weights():
    names = dict(build_model(ResNetConfig(), (1, 28, 28), 10).named_parameters())
    assert len(names) == 25
    block = {name.removeprefix("features.3.") for name in names if name.startswith("features.3.")}
    assert block == {
        *("activate.0.weight", "activate.0.bias", "residual.0.weight", "residual.1.weight"),
        *("residual.1.bias", "residual.3.weight", "project.weight"),
    }


@pytest.mark.parametrize("stride", [1, 2])
def test_an_inverted_residual_is_that_of_torchvision(stride):
    ours = InvertedResidual(8, 8, stride, Style(nn.ReLU6, 4)).eval()
    theirs = TorchvisionInvertedResidual(8, 8, stride, 4).eval()
    values = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), values, strict=True)))
    x = torch.randn(2, 8, 7, 9)
    assert torch.allclose(ours(x), theirs(x), atol=1e-6)


def test_a_dense_layer_hands_on_all_that_it_reads():
    model = build_model(DenseNetConfig(growth=4, layers=(3,), stem_stride=1), (1, 8, 8), 3).eval()
    stem, first, second, third, *_ = model.features
    x = stem(torch.randn(2, 1, 8, 8))
    out = third(second(first(x)))
    assert x.shape[1] == 8
    assert out.shape[1] == 8 + 3 * 4
    assert torch.equal(out[:, :8], x)
    assert torch.equal(out[:, :12], first(x))


def test_the_share_of_dropped_branches_grows_from_block_to_block():
    config = ResNetConfig(widths=(4, 8), blocks=(2,), drop_path=0.3)
    model = build_model(config, (1, 28, 28), 3)
    rates = [m.rate for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.1, 0.2, 0.3])  # the first block's is 0, and needs no module


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_is_in_one_stage(name):
    features = build_model(CONFIGS[name], (1, 28, 28), 3).features
    found = [p for stage in stages_of(features) for p in stage]
    assert len(found) == len(set(found))
    assert set(found) == set(features.parameters())


@pytest.mark.parametrize("name", CONFIGS)
def test_grad_cam_finds_a_map_that_the_logits_depend_on(name):
    model = settled(CONFIGS[name], 3)
    card = SimpleNamespace(image_shape=(1, 28, 28))
    subject = SimpleNamespace(classifier=SimpleNamespace(model=model), card=card, device="cpu")
    (layer,) = deepest_maps(subject)
    assert min(layer.places) >= 5
    seen = []
    layer.module.register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = model(torch.randn(2, 1, 28, 28))
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), seen[-1])
    assert gradient.shape[2:] == layer.places
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["resnet-cbam", "shake-shake", "efficient"])
def test_an_exported_program_answers_the_same(name):
    model = settled(CONFIGS[name], 3)
    images = torch.randn(4, 1, 28, 28)
    shapes = {"images": {0: torch.export.Dim.AUTO}}
    program = torch.export.export(model, (images,), dynamic_shapes=shapes).module()
    for batch in (images, torch.randn(3, 1, 28, 28)):
        assert torch.allclose(program(batch), model(batch), atol=1e-5)


@pytest.mark.parametrize(
    ("config", "field"),
    [(VGGConfig, "convolutions"), (MobileConfig, "blocks"), (EfficientConfig, "kernels")],
)
def test_stages_must_agree(config, field):
    options = {"widths": (8, 8)} | ({"blocks": (1, 1)} if field == "kernels" else {})
    with pytest.raises(ValueError, match=f"widths has 2 stages and {field} 3: set both"):
        config(**options)


LIMITS = {
    "small-100k": 1e5,
    "small-200k": 2e5,
    "small-200k-long": 2e5,
    "small-1m": 1e6,
    "small-1m-long": 1e6,
}


def test_the_small_recipes_are_as_small_as_they_say():
    shape = (1, 28, 28)
    for name, most in LIMITS.items():
        assert model_cost(build_model(get_recipe(name).model, shape, 10), shape).parameters < most


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_every_recipe_trains_two_steps(name, tmp_path):
    import atelier

    overrides = (
        *NARROW[RECIPES[name]().model.name],
        *("train.num_epochs=1", "train.warmup_epochs=0", "train.batch_size=50"),
        *("train.validation_share=0.9", "mirror_average=false", "shift_average=false"),
        "train.compile=false",  # half a minute on a CPU
    )
    run = atelier.train(
        name,
        data="fashion-mnist-sample",
        overrides=overrides,
        out=tmp_path / "run",
        progress=False,
    )
    assert 0 < run.metrics["best_validation_accuracy"] <= 1
