"""Starting from a run or from pretrained weights, with networks and data of a few dozen images."""

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import atelier
from atelier.config import (
    CNNConfig,
    HybridConfig,
    MLPConfig,
    Recipe,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
    TrainConfig,
)
from atelier.data import load_dataset
from atelier.errors import ConfigError, RunError
from atelier.models import build_model
from atelier.training import entry

TRAIN = TrainConfig(num_epochs=2, warmup_epochs=0, batch_size=16, validation_share=0.25)
RESNET = ResNetConfig(widths=(4, 8))
TIMM = TimmConfig(backbone="mobilenetv3_small_050")


@pytest.fixture
def images(monkeypatch):
    """A function that says what data all trainings get from now on."""

    def choose(channels=1, side=28, classes=None, count=80):
        whole = load_dataset("fashion-mnist-sample")
        pixels = np.repeat(whole.train.images[:count], channels, axis=1)
        pixels = np.pad(pixels, ((0, 0), (0, 0), (0, side - 28), (0, side - 28)))
        train = dataclasses.replace(
            whole.train,
            images=pixels,
            labels=np.arange(count) % 10,
            ids=whole.train.ids[:count],
        )
        chosen = dataclasses.replace(whole, train=train, classes=classes or whole.classes)
        monkeypatch.setattr(entry, "obtain_dataset", lambda *_args, **_options: chosen)
        return chosen

    choose()
    return choose


@pytest.fixture
def train(tmp_path, images):
    def train(name, model, *overrides, **options):
        recipe = Recipe(name="small", data="fashion-mnist-sample", model=model, train=TRAIN)
        return atelier.train(
            recipe, out=tmp_path / name, overrides=overrides, progress=False, **options
        )

    return train


def start(run):
    """The weights of a run's first step: one epoch at a rate that changes nothing."""
    return load_file(run.path / "model.safetensors")


STILL = ("train.num_epochs=1", "train.lr=1e-30", "train.weight_decay=0")


# From a run.


@pytest.mark.parametrize(
    "model",
    [
        MLPConfig(width=8),
        CNNConfig(channels=(4, 8), dense=8),
        RESNET,
        HybridConfig(channels=4, dim=8, dense=8),
        SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(1, 1)),
        TIMM,
    ],
    ids=lambda model: model.name,
)
@pytest.mark.parametrize(("old", "new"), [(1, 3), (3, 1)])
def test_a_gray_image_means_what_it_meant(train, images, model, old, new):
    side = 32 if model.name == "timm" else 28
    images(old, side)
    first = train("first", model)
    images(new, side)
    second = train("second", model, *STILL, init=first.path)
    assert second.card.mean == pytest.approx([first.card.mean[0]] * new)
    gray = torch.randn(4, 1, side, side)
    # But for batch norms, whose statistics went on in the one epoch: the weights are the same.
    mine, theirs = (build_model(r.card.model, r.card.image_shape, 10) for r in (second, first))
    weights = {k: v for k, v in start(second).items() if "running" not in k}
    mine.load_state_dict({**mine.state_dict(), **weights})
    weights = {k: v for k, v in start(first).items() if "running" not in k}
    theirs.load_state_dict({**theirs.state_dict(), **weights})
    with torch.no_grad():
        a = mine.eval()(gray.expand(-1, new, -1, -1))
        b = theirs.eval()(gray.expand(-1, old, -1, -1))
    assert torch.allclose(a, b, atol=1e-4 * float(b.abs().max()))


def test_the_run_and_the_digest_of_its_weights_are_recorded(train):
    first = train("first", RESNET)
    second = train("second", RESNET, init=first.path)
    bytes_ = (first.path / "model.safetensors").read_bytes()
    assert second.environment["init_run"] == "first"
    assert second.environment["init_sha256"] == hashlib.sha256(bytes_).hexdigest()
    assert second.recipe.train.init == str(first.path)
    assert "init_run" not in first.environment


def test_the_head_is_kept_only_for_the_same_classes_in_the_same_order(train, images):
    first = train("first", RESNET)
    same = train("same", RESNET, *STILL, init=first.path)
    assert torch.equal(start(same)["head.weight"], start(first)["head.weight"])
    classes = load_dataset("fashion-mnist-sample").classes
    images(classes=(*classes[1:], classes[0]))
    turned = train("turned", RESNET, *STILL, init=first.path)
    assert not torch.allclose(start(turned)["head.weight"], start(first)["head.weight"])
    images(classes=(*classes, "Scarf"))
    more = train("more", RESNET, *STILL, init=first.path)
    assert start(more)["head.weight"].shape == (11, 8)


def test_another_size_where_the_architecture_allows(train, images):
    first, vit = train("first", RESNET), TimmConfig(backbone="vit_tiny_patch16_224")
    images(side=32)
    train("larger", RESNET, init=first.path)
    small = train("vit", vit, *STILL)
    images(side=48)
    assert train("vit48", vit, *STILL, init=small.path).card.image_shape == (1, 48, 48)
    cnn = CNNConfig(channels=(4, 8), dense=8)
    images(side=28)
    tied = train("tied", cnn)
    images(side=32)
    with pytest.raises(ConfigError) as caught:
        train("tied32", cnn, init=tied.path)
    assert "tied does not fit this network: " in str(caught.value)
    assert "of another shape: " in str(caught.value)
    assert "28 x 28 pixels and these images have 32 x 32" in str(caught.value)
    assert not (tied.path.parent / "tied32").exists()


def test_another_architecture_is_refused(train, tmp_path):
    first = train("first", RESNET)
    with pytest.raises(ConfigError, match="of another kind; got 'resnet'; allowed: mlp"):
        train("other", MLPConfig(width=8), init=first.path)
    with pytest.raises(ConfigError, match=r"model\.widths=\(4, 8\) there, \(8, 8\) here"):
        train("wider", ResNetConfig(widths=(8, 8)), init=first.path)
    with pytest.raises(RunError, match="there is no run folder here"):
        train("none", RESNET, init=tmp_path / "nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_whitening_filters_are_copied_and_stay(train):
    model = SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(1, 1))
    first = train("first", model)
    second = train("second", model, "seed=3", init=first.path)
    stem = "features.0.weight"
    assert torch.equal(start(second)[stem], start(first)[stem])


def test_a_resumed_run_needs_its_start_no_more(train, images, stopped_in):
    first = train("first", RESNET)
    images(channels=3)
    whole = train("whole", RESNET, init=first.path)
    with stopped_in(epoch=2):
        stopped = train("stopped", RESNET, init=first.path)
    shutil.rmtree(first.path)
    resumed = atelier.train(resume=stopped.path, progress=False)
    for name, value in start(whole).items():
        assert torch.equal(value, start(resumed)[name]), name
    assert resumed.card == whole.card


def test_resuming_takes_no_other_start(train, refused):
    run = train("run", RESNET)
    line = refused("train", "--resume", run.path, "--init", run.path)
    assert "a resumed run goes on with its own recipe" in line


# From pretrained weights.


@pytest.fixture
def pretrained(tmp_path):
    import timm

    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model(TIMM.backbone).state_dict(), path)
    return TIMM.model_copy(update={"weights": str(path)})


def test_images_are_normalized_as_in_the_pretraining(train, images, pretrained):
    images(channels=3, side=32)
    run = train("run", pretrained, *STILL)
    assert run.card.mean == (0.485, 0.456, 0.406)
    assert run.card.std == (0.229, 0.224, 0.225)
    loaded = load_file(pretrained.weights)["conv_stem.weight"]
    assert len(run.environment["weights_sha256"]) == 64
    assert torch.equal(start(run)["features.conv_stem.weight"], loaded)
    assert train("random", TIMM, *STILL).card.mean != run.card.mean


def test_a_run_and_its_going_on_need_neither_file_nor_hub(
    train, images, pretrained, monkeypatch, stopped_in, tmp_path
):
    images(channels=3, side=32)
    whole = train("whole", pretrained)
    with stopped_in(epoch=2):
        stopped = train("stopped", pretrained)
    (tmp_path / "weights.safetensors").unlink()
    monkeypatch.setattr("timm.models._hub.hf_hub_download", None)
    assert whole.model()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    resumed = atelier.train(resume=stopped.path, progress=False)
    for name, value in start(whole).items():
        assert torch.equal(value, start(resumed)[name]), name


def test_a_run_of_a_timm_recipe_has_a_command(train, images, pretrained):
    images(channels=3, side=32)
    run = train("run", pretrained, *STILL)
    assert run.command.startswith("atelier train timm/mobilenetv3_small_050 --data ")
    assert f"--set model.weights={pretrained.weights}" in run.command


def test_a_slash_in_a_recipes_name_makes_no_folder():
    recipe = Recipe(name="timm/resnet18", model=TIMM)
    assert entry.default_run_path(recipe).name == "timm-resnet18-fashion-mnist-s0"
