"""The public names, and that nothing heavy is loaded before it is needed."""

import importlib
import json
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
    "Evaluation",
    "ImagePrediction",
    "Predictions",
    "Predictor",
    "Recipe",
    "Run",
    "compare",
    "demo",
    "evaluate",
    "fetch",
    "get_recipe",
    "load_dataset",
    "load_run",
    "predict",
    "report",
    "train",
]
HEAVY = {"matplotlib", "numpy", "pandas", "pydantic", "scipy", "seaborn", "sklearn", "torch"}


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


def test_recipes_load_no_torch():
    assert not loaded_after("import atelier; atelier.get_recipe('cnn')") & (HEAVY - {"pydantic"})
