"""`atelier.serve` and `atelier serve`, up to the moment when they listen."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import atelier
from atelier.errors import ConfigError
from atelier.exported import ExportedModel
from atelier.serving.entry import exports_of, limits_of, make_settings
from atelier.serving.limits import Limits
from tests.serving.tiny_export import write_tiny_export


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_tiny_export(tmp_path / "tiny model (1).onnx")


def test_exports_are_named_as_their_files_are_or_as_one_says(export: Path) -> None:
    assert exports_of(export) == {"tiny-model-1": export}
    assert exports_of(f"mine={export}") == {"mine": export}
    assert exports_of([f"a={export}", f"b={export}"]) == {"a": export, "b": export}
    assert exports_of({"a": export, "b": str(export)}) == {"a": export, "b": export}


def test_two_models_of_one_name_are_refused(export: Path) -> None:
    with pytest.raises(ConfigError, match="two models have the name 'tiny-model-1'"):
        exports_of([export, export])


def test_a_run_is_exported_unless_an_export_of_its_weights_is_there(own_run: Any) -> None:
    path = own_run.path / "exports" / "own.onnx"
    path.parent.mkdir()
    write_tiny_export(path)  # of other weights
    assert exports_of(own_run) == {"own": path}
    assert ExportedModel(path).classes == own_run.classes
    written = path.stat().st_mtime_ns
    assert exports_of(f"shop={own_run.path}") == {"shop": path}
    assert path.stat().st_mtime_ns == written


def test_settings_that_do_not_fit_are_told(export: Path) -> None:
    for options, words in (
        ({"workers": 0}, "workers"),
        ({"max_batch": 0}, "max_batch"),
        ({"queue": 1}, "queue"),
        ({"port": 70_000}, "port"),
        ({"models": {}}, "models"),
        ({"models": {"a b": export}}, "'a b' cannot be a model's name"),
    ):
        with pytest.raises(ConfigError, match=words):
            make_settings(**{"models": {"a": export}, **options})


def test_limits_are_words_on_the_command_line() -> None:
    assert limits_of([]) == Limits()
    limits = limits_of(["max_images=3", "rate_per_s=2.5", 'formats=["PNG"]'])
    assert (limits.max_images, limits.rate_per_s, limits.formats) == (3, 2.5, ("PNG",))
    with pytest.raises(ConfigError, match="Did you mean 'max_images'"):
        limits_of(["max_imges=3"])
    with pytest.raises(ConfigError, match=r"limits\.max_images"):
        limits_of(["max_images=many"])
    with pytest.raises(ConfigError, match=r"limits\.max_images"):
        limits_of(["max_images"])


def test_serve_is_public() -> None:
    assert atelier.serve.__module__ == "atelier.serving.entry"


class TestCommandLine:
    def test_what_cannot_be_served(self, refused: Callable[..., str], export: Path) -> None:
        assert "there is no file" in refused("serve", export.with_name("none.onnx"), "--no-page")
        export.write_bytes(export.read_bytes()[:-1])
        assert "tiny model" in refused("serve", export, "--no-page", "--log", "none")

    def test_a_port_that_is_taken(self, refused: Callable[..., str], export: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            line = refused("serve", export, "--no-page", "--port", port)
        assert f"port {port} at 127.0.0.1 is taken" in line
        assert "--port" in line

    def test_an_open_door_needs_keys(self, refused: Callable[..., str], export: Path) -> None:
        line = refused("serve", export, "--no-page", "--host", "0.0.0.0")
        assert "atelier keys add" in line

    def test_limits_and_numbers(self, refused: Callable[..., str], export: Path) -> None:
        assert "max_images" in refused("serve", export, "--limit", "max_imags=1")
        assert "workers" in refused("serve", export, "--workers", "0")
