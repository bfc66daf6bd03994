"""Backbones of timm (Wightman 2019, "PyTorch Image Models"), and their pretrained weights.

timm is imported inside the functions: it takes seconds, and most runs have none of it. Building a
network never reads or fetches weights, so that a finished run needs nothing but its own folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..config import TimmConfig
from ..config.backbones import require_backbone
from ..errors import AtelierError, ConfigError
from ..storage import explained
from .classifier import Classifier, ImageShape, output_shape
from .transplant import fit_weights

Normalization = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of each channel, as shares of 255."""


def build_timm(config: TimmConfig, image_shape: ImageShape, num_classes: int) -> Classifier:
    """The backbone down to its pooled embedding, with random weights, and a linear head."""
    require_backbone(config.backbone)
    features = _create(config, image_shape)
    patch = getattr(getattr(features, "patch_embed", None), "patch_size", None)
    if patch and any(side % p for side, p in zip(image_shape[1:], patch, strict=True)):
        # timm would leave out the pixels beyond the last whole patch.
        raise ValueError(
            f"{config.backbone} cuts images into patches of {patch[0]} x {patch[1]} pixels, which "
            f"do not divide {image_shape[1]} x {image_shape[2]}"
        )
    try:
        shape = output_shape(features, image_shape)
    except AssertionError as error:  # what timm says of sides that its patches do not divide
        raise ValueError(str(error)) from error
    if len(shape) != 2:
        raise ValueError(f"{config.backbone} gives no pooled embedding, but {tuple(shape)}")
    return Classifier(features, nn.Linear(shape[1], num_classes))


def load_pretrained(model: Classifier, config: TimmConfig, image_shape: ImageShape) -> None:
    """Put the weights that `config` names into a network that it describes.

    The head stays as it is, unless a file has one of the same shape.

    Raises:
        ConfigError: the hub cannot be reached and its cache has nothing, or the file is missing,
            unreadable or of another network.
    """
    if config.weights == "pretrained":
        model.features.load_state_dict(_from_hub(config, image_shape))
        return
    path = Path(config.weights).expanduser()
    weights = read_weights(path)
    pretraining: Mapping[str, Any] = model.features.pretrained_cfg  # type: ignore[assignment]
    load_backbone(
        model.features,
        weights,
        (pretraining["input_size"][0], image_shape[0]),
        f"{path} does not fit {config.backbone}",
    )
    head = pretraining.get("classifier")
    if isinstance(head, str):
        own = {name: weights.get(f"{head}.{name}") for name in ("weight", "bias")}
        if all(v is not None and v.shape == getattr(model.head, k).shape for k, v in own.items()):
            model.head.load_state_dict(own)


def load_backbone(
    features: nn.Module, weights: Mapping[str, Tensor], channels: tuple[int, int], problem: str
) -> None:
    """Put weights under timm's names into a backbone: the first convolution is adapted to the
    images' channels, and positions to their size where the architecture has such.

    Args:
        features: the backbone.
        weights: by name, a head's among them or not.
        channels: of the images that the weights were trained on, and of the backbone's.
        problem: what to say where they do not fit.

    Raises:
        ConfigError: a tensor is missing or of another shape.
    """
    fit = fit_weights(_converted(weights, features), features, channels)
    if not fit.whole:
        if any(name.startswith("features.") for name in weights):
            fix = "These are the weights of an atelier run: start from it with --init RUN"
        else:
            fix = "Give the weights of this architecture, or set model.weights=none"
        raise ConfigError(f"{problem}: {fit}", fix=fix)
    features.load_state_dict(fit.tensors)


def pretraining_normalization(config: TimmConfig, channels: int) -> Normalization:
    """What the backbone's pretraining normalized images by; for gray, the mean of the channels.

    Needs no network: timm keeps it beside the architecture.
    """
    pretraining = _pretraining(config)
    mean, std = (tuple(float(v) for v in values) for values in (pretraining.mean, pretraining.std))
    if len(mean) != channels:
        mean, std = ((sum(values) / len(values),) * channels for values in (mean, std))
    return mean, std


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, by name, without what training scripts wrap them in.

    Nothing is unpickled but tensors and plain containers.

    Raises:
        ConfigError: the file is missing, of another kind, or corrupt.
        StorageError: it cannot be read.
    """
    if not path.is_file():
        raise ConfigError(
            "there is no such file of weights",
            got=str(path),
            allowed="none, pretrained, or a .safetensors, .pth or .bin file",
        )
    try:
        with explained(path, "read"):
            if path.suffix == ".safetensors":
                return load_file(path)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except AtelierError:
        raise
    except SafetensorError as error:
        raise ConfigError(f"{path} is not a file of weights: {error}") from error
    except Exception as error:
        # torch.load has no type of error of its own: it lets out what its parsers meet.
        raise ConfigError(
            f"{path} cannot be read as weights alone: {str(error).partition('. ')[0]}",
            fix="Save its state_dict as .safetensors, or with torch.save, and give that",
        ) from error
    for wrapper in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
            break
    if not isinstance(loaded, dict) or not any(isinstance(v, Tensor) for v in loaded.values()):
        raise ConfigError(f"{path} holds no tensors by name")
    return {
        str(name).removeprefix("module.").removeprefix("_orig_mod."): value
        for name, value in loaded.items()
        if isinstance(value, Tensor)
    }


def _pretraining(config: TimmConfig) -> Any:
    """What timm knows of the backbone's weights and of the images that they were trained on."""
    import timm

    return timm.models.get_pretrained_cfg(config.backbone)


def _create(config: TimmConfig, image_shape: ImageShape, **options: Any) -> nn.Module:
    import timm

    channels, *size = image_shape
    if _pretraining(config).fixed_input_size:
        options["img_size"] = tuple(size)  # positions, or windows, are cut for a size
    if config.dropout:
        options["drop_rate"] = config.dropout
    if config.drop_path:
        options["drop_path_rate"] = config.drop_path
    try:
        model: nn.Module = timm.create_model(
            config.backbone, num_classes=0, in_chans=channels, **options
        )
    except (AssertionError, TypeError) as error:
        # timm's own words: an option that the architecture lacks, or a side that does not divide.
        raise ValueError(f"timm refuses {config.backbone}: {error}") from error
    return model


def _from_hub(config: TimmConfig, image_shape: ImageShape) -> dict[str, Tensor]:
    """The backbone's pretrained weights from the hub's cache, or else from the hub."""
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    pretraining = _pretraining(config)
    if not pretraining.has_weights:
        raise ConfigError(
            f"timm has no pretrained weights for {config.backbone}",
            fix="Give a file with --set model.weights=PATH, or start with model.weights=none",
        )
    where = pretraining.hf_hub_id or pretraining.url
    options: dict[str, Any] = {}
    if pretraining.hf_hub_id:
        repository, _, revision = pretraining.hf_hub_id.partition("@")
        name = pretraining.hf_hub_filename or "model.safetensors"
        cached = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(cached, str):
            options["pretrained_cfg_overlay"] = {"file": cached}
    try:
        if pretraining.hf_hub_id and not options:
            # Offline, a download would try again and again for most of a minute.
            get_session().head(constants.ENDPOINT, timeout=10)
        model = _create(config, image_shape, pretrained=True, **options)
    except Exception as error:
        # The hub's client, whose types of errors have changed with its versions, lets out what the
        # network, the disk and the file met.
        raise ConfigError(
            f"the pretrained weights of {config.backbone} are neither in the cache "
            f"{constants.HF_HUB_CACHE} nor to be had from {where}: {str(error).partition('. ')[0]}",
            fix="Download them where there is a network and name the file with "
            "--set model.weights=PATH.safetensors, or start with --set model.weights=none",
        ) from error
    weights: dict[str, Tensor] = model.state_dict()
    return weights


def _converted(weights: Mapping[str, Tensor], features: nn.Module) -> Mapping[str, Tensor]:
    """Through timm's own conversion for the architecture, which renames what other projects named
    and resizes positions; weights that it cannot read are left as they are, and told by name."""
    convert = getattr(sys.modules[type(features).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return weights
    try:
        converted: Mapping[str, Tensor] = convert(dict(weights), features)
    except (AttributeError, KeyError, IndexError, RuntimeError, TypeError, ValueError):
        return weights
    return converted
