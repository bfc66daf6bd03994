"""Optional libraries, each with the extra that installs it."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from .errors import ExtraError

# Of a library that stands in several extras, the one that most of atelier needs it for.
EXTRAS = {
    "captum": "explain",
    "cleanlab": "audit",
    "fastapi": "serve",
    "gradio": "serve",
    "httptools": "serve",
    "jinja2": "train",
    "matplotlib": "train",
    "mlflow": "track",
    "onnx": "export",
    "onnxruntime": "runtime",
    "onnxscript": "export",
    "onnxslim": "export",
    "optuna": "tune",
    "plotly": "dashboard",
    "prometheus_client": "monitor",
    "psycopg": "postgres",
    "pyarrow": "parquet",
    "python_multipart": "serve",
    "safetensors": "train",
    "scipy": "train",
    "sklearn": "train",
    "sqlalchemy": "monitor",
    "starlette": "serve",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "umap": "explain",
    "uvicorn": "serve",
    "uvloop": "serve",
}


def require(module: str, *, extra: str | None = None) -> Any:
    """Import an optional module.

    Args:
        module: its full name, as ``onnxruntime.quantization``.
        extra: what installs it; None is what `EXTRAS` says.

    Raises:
        ExtraError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            # In a notebook tqdm, which several of them import, misses a library for its bars, which
            # nobody will see: progress is shown by `progress`.
            warnings.filterwarnings("ignore", "IProgress not found")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, extra=extra)
        if missing is None:
            raise
        raise missing from error


def missing_extra(error: ModuleNotFoundError, *, extra: str | None = None) -> ExtraError | None:
    """What to tell the user about a module that was not found; None if no extra has it, and a
    defect is all that explains it.

    Args:
        error: of the import.
        extra: what installs it; None is what `EXTRAS` says.
    """
    library = (error.name or "").partition(".")[0]
    if library not in EXTRAS:
        return None
    return ExtraError(
        f"this needs {library}, which is not installed",
        fix=f"Run `pip install 'atelier[{extra or EXTRAS[library]}]'`",
    )
