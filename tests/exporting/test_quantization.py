"""int8: small, near the float32 graph, and without the layers that it would hurt."""

import numpy as np
import onnx
import pytest
import torch

import atelier
from atelier.config import MLPConfig
from atelier.data import normalization_of
from atelier.errors import ExportError
from atelier.exporting import quantization
from atelier.exporting.graph import Graph, to_onnx
from atelier.models import build_model
from atelier.progress import progress_bar
from atelier.runs import ModelCard


@pytest.fixture(scope="module")
def images():
    return atelier.load_dataset("fashion-mnist-sample").train.images[:400]


@pytest.fixture(scope="module")
def fragile(images):
    """The graph of three layers, the first of which has a unit that is 10,000 times as large as
    the others, and the second makes that good: in float32 it is as if nothing were."""
    mean, std = normalization_of(images)
    card = ModelCard(
        model=MLPConfig(depth=3, width=32, dropout=0, batch_norm=False),
        classes=tuple("abcdefghij"),
        image_shape=(1, 28, 28),
        mean=mean,
        std=std,
        background=0,
    )
    torch.manual_seed(3)
    model = build_model(card.model, card.image_shape, 10).eval()
    with torch.no_grad():
        model.head.weight *= 3
        model.features[1].weight[0] *= 1e4
        model.features[1].bias[0] *= 1e4
        model.features[3].weight[:, 0] /= 1e4
    return to_onnx(Graph(model, card, 1.0))


def quantize(graph, images):
    with progress_bar("int8", 1.0, show=False) as bar:
        return quantization.quantize(graph, images[:200], images[200:], bar)


@pytest.fixture(scope="module")
def quantized(fragile, images):
    return quantize(fragile, images)


def test_layers_that_would_hurt_are_left_in_float(quantized):
    assert set(quantized.left_in_float) == {"features.1", "features.3", "head"}
    assert quantized.layers == 4
    assert quantized.agreement >= 0.995
    kinds = {t.data_type for t in quantized.model.graph.initializer if len(t.dims) == 2}
    assert kinds == {onnx.TensorProto.FLOAT, onnx.TensorProto.INT8}


def test_all_of_them_in_int8_would_have_been_wrong(fragile, images, monkeypatch):
    monkeypatch.setattr(quantization, "LEAST_AGREEMENT", 0.0)
    monkeypatch.setattr(quantization, "LARGEST_DIVERGENCE", np.inf)
    careless = quantize(fragile, images)
    assert careless.left_in_float == ("head",)
    assert careless.agreement < 0.8


def test_pixels_become_floats_as_before(fragile, quantized):
    def first(model):
        order = ["Cast", "Sub", "Mul"]
        nodes = {node.op_type: node for node in model.graph.node if node.op_type in order}
        constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        return [constants[nodes[name].input[1]].item() for name in order[1:]]

    assert first(quantized.model) == first(fragile)


def test_a_network_without_a_layer_that_can_be_is_refused(fragile, images, monkeypatch):
    monkeypatch.setattr(quantization, "LARGEST_DIVERGENCE", -1.0)
    with pytest.raises(ExportError, match="no layer of this network can be quantized"):
        quantize(fragile, images)
