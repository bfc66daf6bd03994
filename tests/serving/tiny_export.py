"""An export that takes no training: a linear model with fixed weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atelier.exported import ExportCard
from atelier.exported.seal import seal_onnx

CLASSES = ("Bag", "Coat", "Dress")


def write_tiny_export(
    path: Path,
    *,
    shape: tuple[int, int, int] = (1, 28, 28),
    threshold: float = 0.0,
    seed: int = 0,
) -> Path:
    """Write an export of three classes at `path`; its weights follow from `seed`."""
    from onnx import TensorProto, helper, numpy_helper

    channels, height, width = shape
    rng = np.random.default_rng(seed)
    embedding_size = 4
    first = rng.normal(size=(channels * height * width, embedding_size)).astype(np.float32)
    last = rng.normal(size=(embedding_size, len(CLASSES))).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["bytes", "scale"], ["shares"]),
        helper.make_node("Flatten", ["shares"], ["flat"]),
        helper.make_node("MatMul", ["flat", "first"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probs"], axis=-1),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *shape])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (
            ("logits", len(CLASSES)),
            ("probs", len(CLASSES)),
            ("embedding", embedding_size),
        )
    ]
    weights = [
        numpy_helper.from_array(np.float32(255), "scale"),
        numpy_helper.from_array(first, "first"),
        numpy_helper.from_array(last, "last"),
    ]
    graph = helper.make_graph(nodes, "tiny", [images], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    card = ExportCard(
        name="tiny",
        recipe="none",
        classes=CLASSES,
        image_shape=shape,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        background=0,
        threshold=threshold,
        embedding_size=embedding_size,
        weights_sha256="0" * 64,
        data_fingerprint="none",
        atelier_version="0.1.0",
        created="2026-01-01T00:00:00Z",
    )
    path.write_bytes(seal_onnx(model.SerializeToString(), card))
    return path
