"""atelier: train, compare, understand and ship classifiers of fashion images.

>>> import atelier
>>> run = atelier.train("cnn", data="fashion-mnist", seed=0)
>>> print(atelier.evaluate(run))
>>> atelier.report([run], "report.html")
"""

from __future__ import annotations

import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__


def _yield_to_other_processes() -> None:
    """Let OpenMP's threads sleep while they wait for each other, if another process is at work.

    By default they spin. That is the fastest way on an idle machine, but as soon as another process
    wants a core, a training step takes 8 to 30 times as long (LOG.md). OpenMP reads the variable
    when torch is first imported; whoever has set it otherwise keeps it.
    """
    running = []
    try:
        for _ in range(4):  # a process that only blinks is not at work
            with open("/proc/loadavg") as file:  # noqa: PTH123 - pathlib is slow to import
                running.append(int(file.read().split()[3].partition("/")[0]))
            time.sleep(0.001)
    except (OSError, ValueError, IndexError):
        return  # not Linux
    if min(running) > 1:  # this process is one of them
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_yield_to_other_processes()

if TYPE_CHECKING:
    from .auditing import audit
    from .benchmark.entry import bench
    from .config import Recipe
    from .dashboard import dashboard
    from .data import Dataset, fetch, load_dataset
    from .embeddings import embeddings
    from .ensembling import ensemble
    from .errors import AtelierError
    from .evaluation import Comparison, Evaluation, ViewGains, evaluate, view_gains
    from .explaining import Explanations, explain
    from .exported import ExportedModel, load_export
    from .exporting import Export, export
    from .few_shot import FewShot, few_shot
    from .inference import ImagePrediction, predict
    from .monitoring import Drift, drift, provision, reference_of
    from .predictions import Predictions
    from .predictor import Predictor
    from .recipes import RECIPES, get_recipe
    from .reporting import model_card, report
    from .robustness import Robustness, robustness
    from .runs import Run, load_run
    from .serving import serve
    from .showcase import demo
    from .sweeps import compare
    from .tracking import track
    from .training import train
    from .tuning import LearningRateRange, Tuning, lr_range, tune
    from .uncertainty import uncertainty
    from .zoo import Leaderboard, bench_zoo

# Loaded when first asked for: torch alone takes over a second to import.
_HOMES = {
    "AtelierError": "errors",
    "Comparison": "evaluation",
    "Dataset": "data",
    "Drift": "monitoring",
    "Evaluation": "evaluation",
    "Explanations": "explaining",
    "Export": "exporting",
    "ExportedModel": "exported",
    "FewShot": "few_shot",
    "ImagePrediction": "inference",
    "Leaderboard": "zoo",
    "LearningRateRange": "tuning",
    "Predictions": "predictions",
    "Predictor": "predictor",
    "RECIPES": "recipes",
    "Recipe": "config",
    "Robustness": "robustness",
    "Run": "runs",
    "Tuning": "tuning",
    "ViewGains": "evaluation",
    "audit": "auditing",
    "bench": "benchmark.entry",
    "bench_zoo": "zoo",
    "compare": "sweeps",
    "dashboard": "dashboard",
    "demo": "showcase",
    "drift": "monitoring",
    "embeddings": "embeddings",
    "ensemble": "ensembling",
    "evaluate": "evaluation",
    "explain": "explaining",
    "export": "exporting",
    "fetch": "data",
    "few_shot": "few_shot",
    "get_recipe": "recipes",
    "load_dataset": "data",
    "load_export": "exported",
    "load_run": "runs",
    "lr_range": "tuning",
    "model_card": "reporting",
    "predict": "inference",
    "provision": "monitoring",
    "reference_of": "monitoring",
    "report": "reporting",
    "robustness": "robustness",
    "serve": "serving",
    "track": "tracking",
    "train": "training",
    "tune": "tuning",
    "uncertainty": "uncertainty",
    "view_gains": "evaluation",
}

__all__ = [
    "RECIPES",
    "AtelierError",
    "Comparison",
    "Dataset",
    "Drift",
    "Evaluation",
    "Explanations",
    "Export",
    "ExportedModel",
    "FewShot",
    "ImagePrediction",
    "Leaderboard",
    "LearningRateRange",
    "Predictions",
    "Predictor",
    "Recipe",
    "Robustness",
    "Run",
    "Tuning",
    "ViewGains",
    "audit",
    "bench",
    "bench_zoo",
    "compare",
    "dashboard",
    "demo",
    "drift",
    "embeddings",
    "ensemble",
    "evaluate",
    "explain",
    "export",
    "fetch",
    "few_shot",
    "get_recipe",
    "load_dataset",
    "load_export",
    "load_run",
    "lr_range",
    "model_card",
    "predict",
    "provision",
    "reference_of",
    "report",
    "robustness",
    "serve",
    "track",
    "train",
    "tune",
    "uncertainty",
    "view_gains",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .extras import require

    value = getattr(require(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


class _Names(ModuleType):
    """This package: Python hangs each imported module into its parent by its own name, where some
    have the name of a verb."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Names


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
