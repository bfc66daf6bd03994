"""Static int8 quantization by ONNX Runtime, which leaves in float32 what it would hurt.

Weights are int8 with a scale for each output channel, activations 8 bits with ranges measured on
calibration images (Jacob et al. 2018, arXiv:1712.05877). The head stays in float32: logits of 256
steps would have ties, and it costs next to nothing. Each other layer that loses too much is left
out, found on images that neither the ranges nor the validation have seen: by how far the
probabilities move when it alone is quantized (the Kullback-Leibler divergence, as in HAWQ's
line of sensitivity measures), the worst first, until all the others together move them little.
"""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ExportError
from ..extras import require
from ..progress import Bar
from .graph import INPUT, quiet, without_traces

LARGEST_DIVERGENCE = 2e-3
"""In nats, the mean over images, from the probabilities in float32 to those in int8."""
LEAST_AGREEMENT = 0.995
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# They hand on what they are given in 8 bits, as it is.
_BETWEEN = (
    *("AveragePool", "Clip", "Flatten", "MaxPool"),
    *("Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
)
_BATCH_BYTES = 2**18  # of pixels; their activations are all kept until a batch is through

_Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Quantized:
    """A graph in int8.

    Attributes:
        model: an `onnx.ModelProto`.
        left_in_float: names of the layers that are computed in float32, the head among them.
        layers: the number of all layers.
        divergence: in nats, on the images that were kept apart.
        agreement: the share of them that is given the same class as in float32.
    """

    model: Any
    left_in_float: tuple[str, ...]
    layers: int
    divergence: float
    agreement: float


def quantize(model: Any, calibration: _Images, apart: _Images, bar: Bar) -> Quantized:
    """Quantize a float32 graph.

    Args:
        model: an `onnx.ModelProto` as of `to_onnx`.
        calibration: (N, C, H, W) uint8 training images that the ranges are measured on.
        apart: likewise, others, that decide which layers stay in float32.
        bar: told of the progress, up to 1.

    Raises:
        ExportError: no layer can be quantized without too much of a loss.
        ExtraError: ONNX Runtime or onnx is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="atelier-") as folder, quiet():
        work = _Work(model, calibration, Path(folder))
        wanted = _probs(model, apart)
        left: list[str] = []
        found = work.quantized(leave=left)
        distance, agreement = _distance(wanted, _probs(found, apart))
        bar.update(0.1, f"{len(work.layers)} layers")
        if not _good(distance, agreement):
            hurt = {}
            for number, layer in enumerate(work.layers, start=1):
                others = [name for name in work.layers if name != layer]
                alone = work.quantized(leave=others)
                hurt[layer] = _distance(wanted, _probs(alone, apart))[0]
                bar.update(0.1 + 0.5 * number / len(work.layers), f"{work.title(layer)} alone")
            order = sorted(work.layers, key=lambda layer: hurt[layer], reverse=True)
            while not _good(distance, agreement) and len(left) + 1 < len(order):
                left = order[: len(left) + 1]
                found = work.quantized(leave=left)
                distance, agreement = _distance(wanted, _probs(found, apart))
                bar.update(0.6 + 0.4 * len(left) / len(order), f"{len(left)} left in float32")
    if not work.layers or not _good(distance, agreement):
        raise ExportError(
            "no layer of this network can be quantized without too much of a loss",
            fix="Export it without --int8",
        )
    without_traces(found)
    return Quantized(
        found,
        tuple(work.title(layer) for layer in (*left, *work.head)),
        len(work.layers) + len(work.head),
        distance,
        agreement,
    )


class _Work:
    """One graph, prepared, and its ranges, which are measured once."""

    def __init__(self, model: Any, calibration: _Images, folder: Path) -> None:
        onnx: Any = require("onnx", extra="export")
        shape_inference: Any = require("onnxruntime.quantization.shape_inference", extra="export")
        self.folder = folder
        self.prepared = folder / "prepared.onnx"
        onnx.save(model, folder / "float32.onnx")
        # Not by symbols: ONNX's own inference knows all shapes here, and the other one fails on
        # the views of mirrored and shifted images.
        shape_inference.quant_pre_process(
            str(folder / "float32.onnx"), str(self.prepared), skip_symbolic_shape=True
        )
        prepared = onnx.load(self.prepared)
        for number, node in enumerate(prepared.graph.node):
            node.name = f"{node.op_type}_{number}"  # the optimizer leaves nodes without a name
        onnx.save(prepared, self.prepared)
        self.nodes = {node.name: node for node in prepared.graph.node}
        self.constants = {tensor.name for tensor in prepared.graph.initializer}
        layers = [name for name, node in self.nodes.items() if self._is_layer(node)]
        self.head = [name for name in layers if name == self._head(prepared.graph)]
        self.layers = [name for name in layers if name not in self.head]
        self.calibration = calibration

    def _is_layer(self, node: Any) -> bool:
        return node.op_type in _LAYERS and node.input[1] in self.constants

    def _head(self, graph: Any) -> str:
        """The layer that the logits come from, upwards along first inputs."""
        makers = {output: node for node in graph.node for output in node.output}
        place = "logits"
        while place in makers and not self._is_layer(makers[place]):
            place = makers[place].input[0]
        return str(makers[place].name) if place in makers else ""

    def title(self, name: str) -> str:
        """What the network's own code calls a layer, where its weight has kept that name."""
        weight = str(self.nodes[name].input[1])
        inside = weight.removeprefix("pixels.model.").removesuffix(".weight")
        return inside if inside != weight else name

    def quantized(self, *, leave: Sequence[str]) -> Any:
        """The graph with all layers but the head and `leave` in int8."""
        quantization: Any = require("onnxruntime.quantization", extra="export")
        onnx: Any = require("onnx", extra="export")
        taken = {*self.layers} - {*leave}
        between = [name for name, node in self.nodes.items() if node.op_type in _BETWEEN]
        out, types = self.folder / "quantized.onnx", quantization.QuantType
        quantization.quantize_static(
            self.prepared,
            out,
            _Reader(self.calibration),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*_LAYERS, *_BETWEEN],
            nodes_to_quantize=[*sorted(taken), *between],
            per_channel=True,
            reduce_range=_saturates(),
            activation_type=types.QInt8 if _is_arm() else types.QUInt8,
            weight_type=types.QInt8,
            calibration_cache_path=self.folder / "ranges.json",
        )
        return onnx.load(out)


class _Reader:
    """Calibration images in batches, as ONNX Runtime asks for them."""

    def __init__(self, images: _Images) -> None:
        self._batches = _in_batches(images)

    def get_next(self) -> dict[str, _Images] | None:
        """The next batch by the name of the input; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _in_batches(images: _Images) -> Iterator[_Images]:
    size = max(1, min(64, _BATCH_BYTES // images[0].nbytes))
    for start in range(0, len(images), size):
        yield np.ascontiguousarray(images[start : start + size])


def _probs(model: Any, images: _Images) -> npt.NDArray[np.float64]:
    """(N, K) probabilities by a graph."""
    runtime: Any = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    parts = [session.run(["probs"], {INPUT: batch})[0] for batch in _in_batches(images)]
    probs: npt.NDArray[np.float64] = np.concatenate(parts).astype(np.float64)
    return probs


def _distance(
    wanted: npt.NDArray[np.float64], found: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """The mean divergence in nats, and the share of images that are given the same class."""
    least = 1e-12
    logs = np.log(np.maximum(wanted, least)) - np.log(np.maximum(found, least))
    same = wanted.argmax(axis=1) == found.argmax(axis=1)
    return float((wanted * logs).sum(axis=1).mean()), float(same.mean())


def _good(distance: float, agreement: float) -> bool:
    return distance <= LARGEST_DIVERGENCE and agreement >= LEAST_AGREEMENT


def _is_arm() -> bool:
    return platform.machine().lower() in ("aarch64", "arm64")


def _saturates() -> bool:
    """Whether this processor's products of 8 bits may overflow, so that weights get 7: those of
    Intel's line without VNNI."""
    if _is_arm():
        return False
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True  # not Linux: the safe side
