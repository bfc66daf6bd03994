"""The peer for `benchmarks.serving_load`: LitServe with ONNX Runtime, as its manual has it.

    python -m benchmarks.peers.litserve_app --model FILE.onnx --port N [--max-batch 32] [--zmq]

It answers ``{"images": ["...base64...", ...]}`` with the three likeliest classes of each image. Of
a picture it expects what the benchmark sends: a gray PNG of the model's size. It imports nothing of
atelier; the class names are in the file's metadata.
"""

# No `from __future__ import annotations`: LitServe compares the annotation of a request itself.

import argparse
import base64
import io
import json
from typing import Any

import litserve
import numpy as np
from fastapi import Request
from PIL import Image

TOP_K = 3


class Classify(litserve.LitAPI):  # type: ignore[misc] # not installed beside atelier
    """Decodes and ranks in the worker's process."""

    def __init__(self, model: str, **options: Any) -> None:
        super().__init__(**options)
        self._model = model

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's
        """Load the model, as one thread that LitServe's worker has for itself."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            self._model, options, providers=["CPUExecutionProvider"]
        )
        card = self._session.get_modelmeta().custom_metadata_map["atelier.card"]
        self._classes = json.loads(card)["classes"]

    def decode_request(self, request: Request) -> Any:
        """(N, 1, H, W) pixels of one request."""
        files = [io.BytesIO(base64.b64decode(text)) for text in request["images"]]
        return np.stack([np.asarray(Image.open(file).convert("L"))[None] for file in files])

    def batch(self, inputs: list[Any]) -> Any:
        """The pixels of several requests as one array."""
        self._sizes = [len(each) for each in inputs]
        return np.concatenate(inputs)

    def predict(self, pixels: Any) -> Any:
        """(N, K) probabilities."""
        return self._session.run(["probs"], {"images": pixels})[0]

    def unbatch(self, output: Any) -> list[Any]:
        """The probabilities of each request."""
        return list(np.split(output, np.cumsum(self._sizes)[:-1]))

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The likeliest classes of each image."""
        best = np.argsort(-output, axis=1)[:, :TOP_K]
        return {
            "predictions": [
                [{"class": self._classes[at], "probability": float(row[at])} for at in ranked]
                for row, ranked in zip(output, best, strict=True)
            ]
        }


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--max-batch", type=int, default=1)
    parser.add_argument("--zmq", action="store_true", help="its faster queue between processes")
    given = parser.parse_args()
    options = {"max_batch_size": given.max_batch}
    if given.max_batch > 1:
        options["batch_timeout"] = 0.002
    server = litserve.LitServer(
        Classify(given.model, **options),
        accelerator="cpu",
        workers_per_device=1,
        fast_queue=given.zmq,
    )
    server.run(
        host="127.0.0.1",
        port=given.port,
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
    )


if __name__ == "__main__":
    main()
