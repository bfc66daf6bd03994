"""Every family of networks becomes a graph that gives what `Predictor` gives."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from atelier.config import (
    CCTConfig,
    CNNConfig,
    CoAtNetConfig,
    HybridConfig,
    MixerConfig,
    MLPConfig,
    ResidualMLPConfig,
    ResNetConfig,
    SpeedNetConfig,
    TimmConfig,
    ViTConfig,
)
from atelier.exporting.graph import Graph, to_archive, to_onnx
from atelier.models import build_model
from atelier.predictor import Predictor
from atelier.runs import ModelCard

# Each family in gray or in color, by views or not: what they share is the first layers alone.
CASES = {
    "mlp": (MLPConfig(width=16), 1, True),
    "cnn": (CNNConfig(batch_norm=True, dropout=0.2, channels=(4, 8), dense=16), 3, False),
    "resnet": (ResNetConfig(widths=(8, 16), stem_stride=4), 3, True),
    "hybrid": (HybridConfig(channels=4, dim=16, heads=2, dense=16), 1, False),
    "speednet": (SpeedNetConfig(stem_filters=8, widths=(8, 16), residual=True), 1, True),
    "members": (SpeedNetConfig(stem="convolution", stem_convolutions=1, members=2), 3, False),
    "residual-mlp": (ResidualMLPConfig(depth=1, width=16, hidden=16), 3, False),
    "mixer": (MixerConfig(dim=8, depth=1, patch_hidden=8, channel_hidden=8), 1, True),
    "vit": (ViTConfig(dim=8, depth=1), 3, False),
    "vit-convolutions": (
        ViTConfig(dim=8, depth=1, embedding="convolutions", readout="mean"),
        1,
        True,
    ),
    "cct": (CCTConfig(channels=(4,), dim=8, depth=1), 3, True),
    "coatnet": (
        CoAtNetConfig(stem=4, widths=(4, 8), blocks=(1, 1), strides=(1, 2), head_dim=4),
        1,
        True,
    ),
    "timm": (TimmConfig(backbone="test_resnet"), 1, True),
}


def network(case):
    """A network whose norms have seen something, and its card."""
    config, channels, views = CASES[case]
    shape = (channels, 32, 32)
    torch.manual_seed(0)
    model = build_model(config, shape, 5)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, -1, 1)
    card = ModelCard(
        model=config,
        classes=tuple("abcde"),
        image_shape=shape,
        mean=(0.3, 0.5, 0.1)[:channels],
        std=(0.2, 0.3, 0.25)[:channels],
        background=9,
        mirror_average=views,
        shift_average=views,
    )
    return model.to(memory_format=torch.channels_last).eval(), card


@pytest.mark.parametrize("case", CASES)
def test_the_graph_gives_what_the_predictor_gives(case):
    model, card = network(case)
    graph = Graph(model, card, temperature=1.7)
    session = onnxruntime.InferenceSession(
        to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    program = torch.export.load(io.BytesIO(to_archive(graph))).module()
    predictor = Predictor(model, card, device="cpu")
    for count in (1, 2, 7):
        images = np.random.default_rng(count).integers(0, 256, (count, *card.image_shape), np.uint8)
        expected = predictor.logits(images)
        largest = np.abs(expected).max()
        by_onnx = session.run(["logits", "probs", "embedding"], {"images": images})
        by_torch = [part.detach().numpy() for part in program(torch.from_numpy(images))]
        for logits, probs, embedding in (by_onnx, by_torch):
            assert np.allclose(logits, expected, atol=1e-5 * largest)
            assert np.allclose(probs.sum(axis=1), 1, atol=1e-5)
            odds = np.log(probs[:, 0] / probs[:, 1])
            assert np.allclose(odds, (logits[:, 0] - logits[:, 1]) / 1.7, atol=1e-4)
            assert embedding.shape == (count, model.head.in_features)


def test_the_first_layers_are_exact_for_every_byte():
    """Each of the 256 bytes becomes the very float that the training saw."""
    model, card = network("mlp")
    card = card.model_copy(update={"image_shape": (1, 16, 16), "mirror_average": False})
    card = card.model_copy(update={"shift_average": False})

    class Identity(nn.Module):
        def forward(self, images):
            return images.flatten(1)

    model.features, model.head = Identity(), nn.Linear(256, 2)
    graph = Graph(model.eval(), card, temperature=1.0)
    session = onnxruntime.InferenceSession(
        to_onnx(graph).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    (embedding,) = session.run(["embedding"], {"images": images})
    expected = graph.pixels.normalize(torch.from_numpy(images)).flatten(1).numpy()
    assert np.array_equal(embedding, expected)
