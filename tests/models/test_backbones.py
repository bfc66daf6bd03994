"""timm's backbones and where their weights come from. The hub is a file made here."""

from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import save_file

import atelier
from atelier.config import TimmConfig
from atelier.errors import ConfigError
from atelier.models import build_model, model_cost
from atelier.models.backbones import load_pretrained, pretraining_normalization, read_weights

RESNET = TimmConfig(backbone="resnet10t")
VIT = TimmConfig(backbone="vit_tiny_patch16_224")


@pytest.fixture(autouse=True)
def same_draws(monkeypatch, tmp_path):
    torch.manual_seed(0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def with_weights(config, weights):
    return config.model_copy(update={"weights": str(weights)})


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """Weights as timm publishes them: 3 channels, 1,000 classes."""
    import timm

    def made(config):
        torch.manual_seed(1)
        model = timm.create_model(config.backbone)
        path = tmp_path_factory.mktemp("weights") / "model.safetensors"
        save_file(model.state_dict(), path)
        return path, model

    return {config.backbone: made(config) for config in (RESNET, VIT)}


@pytest.fixture
def hub(imagenet, monkeypatch):
    """timm's download gives the weights above; the list says what was asked for."""
    asked = []

    def download(repo_id, filename, **_options):
        asked.append((repo_id, filename))
        backbone = repo_id.removeprefix("timm/").partition(".")[0]
        return str(imagenet[backbone][0])

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    monkeypatch.setattr("huggingface_hub.get_session", Mock)
    return asked


@pytest.mark.parametrize(
    ("backbone", "shape"),
    [
        ("resnet10t", (1, 28, 28)),
        ("resnet10t", (3, 40, 24)),
        ("mobilenetv3_small_050", (3, 32, 32)),
        ("vit_tiny_patch16_224", (1, 32, 48)),
    ],
)
def test_a_backbone_is_a_classifier_like_any(backbone, shape):
    model = build_model(TimmConfig(backbone=backbone), shape, 5)
    images = torch.randn(2, *shape)
    assert model.eval()(images).shape == (2, 5)
    assert torch.equal(model.head(model.features(images)), model(images))
    assert model_cost(model, shape).parameters == sum(p.numel() for p in model.parameters())


def test_dropout_and_drop_path_are_passed_on():
    model = build_model(VIT.model_copy(update={"dropout": 0.5, "drop_path": 0.3}), (1, 32, 32), 3)
    images = torch.randn(2, 1, 32, 32)
    assert not torch.equal(model(images), model(images))
    assert torch.equal(model.eval()(images), model(images))


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ("resnt18", "unknown timm backbone; got 'resnt18'. Did you mean 'resnet18'?"),
        ("xq9", "unknown timm backbone; got 'xq9'. timm.list_models() in Python lists them"),
        ("../resnet18", "unknown timm backbone"),
        ("resnet10t.nowhere", "got 'resnet10t.nowhere'. Known: resnet10t.c3_in1k"),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_never_the_whole_list(backbone, said):
    for ask in (
        lambda: atelier.get_recipe(f"timm/{backbone}"),
        lambda: build_model(TimmConfig(backbone=backbone), (3, 32, 32), 3),
    ):
        with pytest.raises(ConfigError) as caught:
            ask()
        assert said in str(caught.value)
        assert len(str(caught.value)) < 300


def test_patches_that_do_not_divide_the_image_would_lose_pixels():
    with pytest.raises(ConfigError, match="patches of 16 x 16 pixels, which do not divide 28 x 28"):
        build_model(VIT, (1, 28, 28), 3)


def test_an_option_that_the_architecture_lacks():
    with pytest.raises(ConfigError, match=r"timm refuses vgg11: .*drop_path_rate"):
        build_model(TimmConfig(backbone="vgg11", drop_path=0.1), (3, 32, 32), 3)


def test_a_recipe_fine_tunes_a_backbone():
    recipe = atelier.get_recipe("timm/resnet10t", overrides=["train.lr=0.1"])
    assert (recipe.name, recipe.model.backbone) == ("timm/resnet10t", "resnet10t")
    assert recipe.model.weights == "pretrained"
    assert recipe.train.layer_decay < 1


# From the hub.


@pytest.mark.parametrize("config", [RESNET, VIT], ids=lambda c: c.backbone)
def test_pretrained_weights_of_the_hub_give_timms_own_embedding(config, hub, imagenet):
    shape = (3, 224, 224)
    model = build_model(config, shape, 5)
    head = model.head.weight.clone()
    load_pretrained(model, with_weights(config, "pretrained"), shape)
    _, theirs = imagenet[config.backbone]
    images = torch.randn(1, *shape)
    with torch.no_grad():
        embedding = theirs.eval().forward_head(theirs.forward_features(images), pre_logits=True)
        assert torch.allclose(model.eval().features(images), embedding, atol=1e-5)
    assert torch.equal(model.head.weight, head)
    assert hub[0][1] == "model.safetensors"


@pytest.mark.parametrize("config", [RESNET, VIT], ids=lambda c: c.backbone)
def test_the_first_convolution_is_adapted_to_gray(config, hub, imagenet):
    gray, colors = (build_model(config, (c, 32, 32), 5).eval() for c in (1, 3))
    for model, channels in ((gray, 1), (colors, 3)):
        load_pretrained(model, with_weights(config, "pretrained"), (channels, 32, 32))
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        replicated = colors(images.expand(-1, 3, -1, -1))
        ours = gray.features(images)
        assert torch.allclose(ours, colors.features(images.expand(-1, 3, -1, -1)), atol=1e-4)
    assert replicated.shape == (2, 5)


def test_the_cache_is_asked_first(monkeypatch, imagenet):
    path = str(imagenet["resnet10t"][0])
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_a, **_o: path)
    monkeypatch.setattr("timm.models._hub.hf_hub_download", None)
    model = build_model(RESNET, (3, 32, 32), 5)
    load_pretrained(model, with_weights(RESNET, "pretrained"), (3, 32, 32))
    assert torch.equal(
        model.features.state_dict()["conv1.0.weight"],
        imagenet["resnet10t"][1].state_dict()["conv1.0.weight"],
    )


@pytest.mark.parametrize("reachable", [False, True])
def test_offline_it_says_where_it_looked_and_what_to_do(monkeypatch, tmp_path, reachable):
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(*_args, **_options):
        raise LocalEntryNotFoundError("cannot reach the hub. Check your connection")

    monkeypatch.setattr("timm.models._hub.hf_hub_download", download)
    if reachable:  # and has no such file
        monkeypatch.setattr("huggingface_hub.get_session", Mock)
    model = build_model(RESNET, (3, 32, 32), 5)
    with pytest.raises(ConfigError) as caught:
        load_pretrained(model, with_weights(RESNET, "pretrained"), (3, 32, 32))
    said = str(caught.value)
    assert str(tmp_path / "hub") in said
    assert "timm/resnet10t.c3_in1k" in said
    assert "--set model.weights=PATH.safetensors" in said


def test_an_architecture_without_published_weights(monkeypatch):
    from timm.models import PretrainedCfg

    config = TimmConfig(backbone="resnet10t", weights="pretrained")
    model = build_model(config, (3, 32, 32), 5)
    monkeypatch.setattr("timm.models.get_pretrained_cfg", lambda _: PretrainedCfg())
    with pytest.raises(ConfigError, match="timm has no pretrained weights for resnet10t"):
        load_pretrained(model, config, (3, 32, 32))


def test_the_normalization_is_that_of_the_pretraining():
    assert pretraining_normalization(RESNET, 3) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert pretraining_normalization(VIT, 1) == ((0.5,), (0.5,))


# From a file.


@pytest.mark.parametrize("kind", [".safetensors", ".pth", ".bin"])
def test_a_file_gives_what_the_hub_gives(kind, imagenet, tmp_path):
    path = tmp_path / f"weights{kind}"
    weights = imagenet["resnet10t"][1].state_dict()
    if kind == ".safetensors":
        save_file(weights, path)
    else:  # as a training script leaves it
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in weights.items()}}, path)
    model = build_model(RESNET, (3, 32, 32), 5)
    load_pretrained(model, with_weights(RESNET, path), (3, 32, 32))
    for name, value in model.features.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_positions_are_resized_to_the_image(imagenet):
    config = with_weights(VIT, imagenet["vit_tiny_patch16_224"][0])
    model = build_model(config, (1, 32, 48), 5)
    load_pretrained(model, config, (1, 32, 48))
    assert model.features.pos_embed.shape == (1, 1 + 2 * 3, 192)


def test_a_head_of_as_many_classes_is_taken(imagenet):
    path, theirs = imagenet["resnet10t"]
    model = build_model(RESNET, (3, 32, 32), 1000)
    load_pretrained(model, with_weights(RESNET, path), (3, 32, 32))
    assert torch.equal(model.head.weight, theirs.fc.weight)


def test_another_architecture_is_told_by_what_matches(imagenet):
    model = build_model(TimmConfig(backbone="resnet18"), (3, 32, 32), 5)
    config = TimmConfig(backbone="resnet18", weights=str(imagenet["resnet10t"][0]))
    with pytest.raises(ConfigError, match=r"\d+ of 120 tensors match; missing: conv1.weight, "):
        load_pretrained(model, config, (3, 32, 32))


def test_the_weights_of_a_run_are_for_init(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(build_model(RESNET, (3, 32, 32), 5).state_dict(), path)
    with pytest.raises(ConfigError, match=r"start from it with --init RUN"):
        load_pretrained(
            build_model(RESNET, (3, 32, 32), 5), with_weights(RESNET, path), (3, 32, 32)
        )


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("none.pth", lambda _path: None, "there is no such file of weights"),
        ("text.safetensors", lambda path: path.write_text("hello"), "is not a file of weights"),
        ("text.pth", lambda path: path.write_text("hello"), "cannot be read as weights alone"),
        ("empty.bin", lambda path: path.write_bytes(b""), "cannot be read as weights alone"),
        ("evil.pth", lambda path: torch.save(Evil(), path), "cannot be read as weights alone"),
        ("list.pth", lambda path: torch.save([1, 2], path), "holds no tensors by name"),
    ],
)
def test_a_file_that_has_no_weights(tmp_path, name, write, said, capsys):
    path = tmp_path / name
    write(path)
    with pytest.raises(ConfigError) as caught:
        read_weights(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "unpickled" not in capsys.readouterr().out
