"""A torch program that answers. The one module of `exported` that needs torch, and imports it when
such a file is loaded."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ExportError
from ..extras import require
from .seal import CARD, Sealed

_Floats = npt.NDArray[np.float32]
# What `torch.export.save` puts into an archive that has weights and a program and nothing else.
_EXPECTED = re.compile(
    r"[^/]+/(data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
    rf"|data/sample_inputs/model\.pt|models/model\.json|extra/{re.escape(CARD)}\.json"
    r"|archive_format|archive_version|byteorder|\.data/(version|serialization_id|alignment))"
)


def start_program(
    path: Path, sealed: Sealed, threads: int | None
) -> Callable[[npt.NDArray[np.uint8]], tuple[_Floats, _Floats, _Floats]]:
    """A function that runs the program on (N, C, H, W) images.

    Args:
        path: of the file, for messages.
        sealed: its bytes.
        threads: of torch, which has them for the whole process; None leaves them.

    Raises:
        ExportError: the archive has something that torch would unpickle or run, or no program.
        ExtraError: torch is not installed.
    """
    torch: Any = require("torch")
    _refuse_more_than_a_program(path, sealed.data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(io.BytesIO(sealed.data))
            module = program.module()
    except Exception as error:
        # torch.export has no type of error of its own: it lets out what its parsers meet.
        raise ExportError(f"torch refuses {path}: {error}") from error
    if threads is not None:
        torch.set_num_threads(threads)

    def engine(images: npt.NDArray[np.uint8]) -> tuple[_Floats, _Floats, _Floats]:
        with torch.inference_mode():
            # A copy: torch wants to own writable memory.
            logits, probs, embedding = module(torch.from_numpy(np.array(images)))
        return logits.numpy(), probs.numpy(), embedding.numpy()

    return engine


def _refuse_more_than_a_program(path: Path, data: bytes) -> None:
    """Refuse pickles, compiled code, and whatever else an archive of torch may carry."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        names = [part.filename for part in parts]
        strange = [name for name in names if not _EXPECTED.fullmatch(name) or names.count(name) > 1]
        # The one part that is a pickle by its form, and is left empty by `atelier.export`.
        strange += [
            part.filename for part in parts if part.filename.endswith(".pt") and part.file_size
        ]
        if not strange:
            configs = [name for name in names if name.endswith("_config.json")]
            strange = [name for name in configs if _pickled(json.loads(archive.read(name)))]
    if strange:
        raise ExportError(
            f"{path} holds more than weights and a program, and is not loaded", got=strange[0]
        )


def _pickled(value: Any) -> bool:
    """Whether torch would unpickle something that a configuration of payloads names."""
    if isinstance(value, dict):
        return bool(value.get("use_pickle")) or any(map(_pickled, value.values()))
    return isinstance(value, list) and any(map(_pickled, value))
