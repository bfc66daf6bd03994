"""From a run to a graph: uint8 pixels in; logits, probabilities and an embedding out."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..extras import require
from ..models import Classifier
from ..predictor import PixelClassifier
from ..runs import ModelCard

OPSET = 21
INPUT, OUTPUTS = "images", ("logits", "probs", "embedding")


class Graph(nn.Module):
    """What is exported: a run's `PixelClassifier`, its temperature, and its embedding.

    The embedding is the mean over the views by which the run judges, as the logits are: the head
    is linear, and so it makes of the embedding just these logits.

    Args:
        model: of the run.
        card: of the run.
        temperature: what logits are divided by before the softmax.
    """

    def __init__(self, model: Classifier, card: ModelCard, temperature: float) -> None:
        super().__init__()
        self.pixels = PixelClassifier(model, card)
        self.temperature = temperature
        self.image_shape = card.image_shape

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, H, W) uint8 to (N, K) logits, (N, K) probabilities and (N, D) embeddings."""
        logits, embedding = self.pixels.outputs(images)
        return logits, (logits / self.temperature).softmax(dim=1), embedding


def to_program(graph: Graph) -> Any:
    """A `torch.export.ExportedProgram` for any number of images, without a trace of where it was
    made."""
    with quiet():
        program = torch.export.export(
            graph.eval(), (_example(graph),), dynamic_shapes=_any_number()
        )
    for node in program.graph.nodes:
        for key in ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node"):
            node.meta.pop(key, None)
    return program


def to_archive(graph: Graph) -> bytes:
    """A torch program as a .pt2 file. It has no example inputs, which would be a pickle."""
    program = to_program(graph)
    program.example_inputs = None
    file = io.BytesIO()
    with quiet():
        torch.export.save(program, file)
    return file.getvalue()


def to_onnx(graph: Graph) -> Any:
    """An `onnx.ModelProto` for any number of images, simplified, its constants folded.

    Raises:
        ExtraError: a library of the extra `export` is not installed.
    """
    require("onnxscript", extra="export")
    onnx: Any = require("onnx", extra="export")
    onnxslim: Any = require("onnxslim", extra="export")
    with quiet():
        program = torch.onnx.export(
            graph.eval(),
            (_example(graph),),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=_any_number(),
            verbose=False,
        )
        assert program is not None
        simplified = onnxslim.slim(program.model_proto)
    without_traces(simplified)
    onnx.checker.check_model(simplified, full_check=True)
    return simplified


def without_traces(model: Any) -> None:
    """Remove what the exporters note of their own work from an `onnx.ModelProto`: lines of source
    with the paths of this machine, several times as long as the graph itself."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for place in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        del place.metadata_props[:]
        place.doc_string = ""
    model.doc_string = ""
    model.graph.doc_string = ""
    model.graph.name = "atelier"
    model.producer_name, model.producer_version = "atelier", ""


def _example(graph: Graph) -> Tensor:
    # Two, for a number of one would be taken for a fixed one.
    return torch.zeros(2, *graph.image_shape, dtype=torch.uint8)


def _any_number() -> Any:
    return ({0: torch.export.Dim("batch", min=1)},)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters think of their own code from standard error."""
    names = (None, "torch.onnx", "torch.export", "onnxscript")  # None: quantization uses the root
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
