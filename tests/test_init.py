"""The public names, and that nothing heavy is loaded before it is needed."""

import importlib
import io
import json
import os
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import atelier

PUBLIC = [
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
HEAVY = {
    "matplotlib",
    "numpy",
    "onnxruntime",
    "pandas",
    "pydantic",
    "scipy",
    "sklearn",
    "timm",
    "torch",
}


def loaded_after(code):
    """The top-level modules that a new interpreter has loaded after `code`."""
    ask = f"{code}\nimport json, sys; print(json.dumps([m for m in sys.modules if '.' not in m]))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_public_names_are_these():
    assert atelier.__all__ == PUBLIC
    assert dir(atelier) == sorted([*PUBLIC, "__version__"])


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(atelier, name)
    assert not isinstance(value, ModuleType)
    assert value.__doc__


def test_no_module_shadows_a_public_name():
    for module in pkgutil.walk_packages(atelier.__path__, "atelier."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in PUBLIC:
        assert not isinstance(getattr(atelier, name), ModuleType), name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'atelier' has no attribute 'trian'"):
        _ = atelier.trian


def test_importing_loads_nothing_heavy():
    assert not loaded_after("import atelier; dir(atelier)") & HEAVY


def test_the_command_line_loads_nothing_heavy():
    assert not loaded_after("import atelier.cli") & HEAVY


def wait_policy(monkeypatch, *loads):
    """The variable as `import atelier` leaves it where /proc/loadavg says `loads` in turn."""
    lines = (f"0.1 0.2 0.3 {load}/90 4\n" for load in loads)
    monkeypatch.setattr("builtins.open", lambda *_: io.StringIO(next(lines)))
    monkeypatch.setattr("os.environ", environ := dict(os.environ))
    atelier._yield_to_other_processes()
    return environ.get("OMP_WAIT_POLICY")


def test_threads_sleep_while_they_wait_only_if_another_process_works(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with monkeypatch.context() as patched:
        assert wait_policy(patched, 1, 3, 1, 2) is None
    with monkeypatch.context() as patched:
        assert wait_policy(patched, 2, 2, 3, 2) == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    with monkeypatch.context() as patched:
        assert wait_policy(patched, 2, 2, 2, 2) == "ACTIVE"


def test_recipes_load_no_torch():
    assert not loaded_after("import atelier; atelier.get_recipe('cnn')") & (HEAVY - {"pydantic"})
