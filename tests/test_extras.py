"""A library that is not installed is one line that names what to install."""

import tomllib

import pytest

import atelier
from atelier.errors import ExtraError
from atelier.extras import EXTRAS, missing_extra, require


def test_what_is_installed_is_given():
    assert require("onnxruntime").__name__ == "onnxruntime"
    assert require("onnxruntime.quantization", extra="export").__name__.endswith("quantization")


@pytest.fixture
def without(monkeypatch):
    """A function that makes modules and what is in them impossible to import."""

    def without(*names):
        import sys

        for name in list(sys.modules):
            if name.partition(".")[0] in names:
                monkeypatch.delitem(sys.modules, name)
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return without


def test_what_is_not_installed_names_its_extra(without):
    without("onnxslim")
    with pytest.raises(ExtraError) as missing:
        require("onnxslim")
    assert str(missing.value) == (
        "this needs onnxslim, which is not installed. Run `pip install 'atelier[export]'`"
    )
    with pytest.raises(ExtraError, match=r"atelier\[runtime\]"):
        require("onnxslim", extra="runtime")
    assert missing.value.exit_code == 2


def test_an_export_without_its_libraries_is_one_line(without, finished_run, tmp_path):
    without("onnxslim")
    with pytest.raises(ExtraError, match=r"atelier\[export\]"):
        atelier.export(finished_run, out=tmp_path / "it.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_defect_is_not_explained_away():
    assert missing_extra(ModuleNotFoundError("no", name="atelier.invented")) is None
    with pytest.raises(ModuleNotFoundError):
        require("atelier.invented")


def test_every_extra_is_there(repository):
    known = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))
    extras = known["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= set(extras)
