"""Models by name, and new versions that take the place of old ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from atelier.errors import ExportError
from atelier.serving.problems import Problem
from atelier.serving.registry import Registry, ServedModel
from tests.serving.tiny_export import CLASSES, write_tiny_export


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return {
        "first": write_tiny_export(tmp_path / "first.onnx"),
        "second": write_tiny_export(tmp_path / "second.onnx", seed=1),
    }


def replace(path: Path, seed: int) -> None:
    """Put another export at `path`, as `atelier.export` does: whole, by a rename."""
    write_tiny_export(path.with_suffix(".new"), seed=seed).replace(path)


def test_models_answer_by_name_and_the_first_by_default(paths: dict[str, Path]) -> None:
    told: list[ServedModel] = []
    registry = Registry(paths, on_loaded=told.append)
    assert not registry.ready
    with pytest.raises(Problem) as met:
        registry.get("first")
    assert met.value.kind == "not-ready"
    registry.load()
    assert registry.ready
    assert registry.get() is registry.get("first")
    assert registry.default == "first"
    assert registry.get("second").version != registry.get("first").version
    assert [served.name for served in told] == ["first", "second"]
    answers = registry.get("second").model.answer(np.zeros((1, 1, 28, 28), np.uint8))
    assert answers.probs.shape == (1, len(CLASSES))


def test_a_name_that_nobody_has_is_told_with_the_nearest(paths: dict[str, Path]) -> None:
    registry = Registry(paths)
    with pytest.raises(Problem) as met:
        registry.get("secnd")
    assert met.value.status == 404
    assert "second" in str(met.value.detail)


def test_a_service_does_not_start_with_a_bad_file(paths: dict[str, Path]) -> None:
    data = bytearray(paths["second"].read_bytes())
    data[100] ^= 1
    paths["second"].write_bytes(data)
    with pytest.raises(ExportError):
        Registry(paths).load()


def test_a_new_version_takes_the_place_of_the_old(paths: dict[str, Path]) -> None:
    told: list[str] = []
    registry = Registry(paths, on_loaded=lambda served: told.append(served.version))
    registry.load()
    old, other = registry.get("first"), registry.get("second")
    registry.refresh()
    assert registry.get("first") is old
    replace(paths["first"], seed=2)
    registry.refresh()
    new = registry.get("first")
    assert new.version != old.version
    assert told == [old.version, other.version, new.version]
    assert registry.get("second") is other
    zeros = np.zeros((2, 1, 28, 28), np.uint8)
    assert old.model.answer(zeros).probs.shape == (2, 3)  # whoever holds it can still ask it


@pytest.mark.parametrize("damage", ["changed", "cut off", "gone", "no export"])
def test_a_bad_file_keeps_the_old_version(
    paths: dict[str, Path], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(paths)
    registry.load()
    old, path = registry.get("first"), paths["first"]
    data = write_tiny_export(path.with_suffix(".new"), seed=2).read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        bad = {
            "changed": data[:200] + bytes([data[200] ^ 1]) + data[201:],
            "cut off": data[:-10],
            "no export": b"hello",
        }
        path.write_bytes(bad[damage])
    registry.refresh()
    assert registry.get("first") is old
    assert list(registry.errors) == ["first"]
    assert old.version in caplog.text
    caplog.clear()
    registry.refresh()  # looked at once, and told once
    assert not caplog.records
    path.write_bytes(data)
    registry.refresh()
    assert registry.get("first").version != old.version
    assert registry.errors == {}


def test_the_same_bytes_anew_are_no_new_version(paths: dict[str, Path]) -> None:
    registry = Registry(paths)
    registry.load()
    old = registry.get("first")
    replace(paths["first"], seed=0)
    os.utime(paths["first"], (1, 1))
    registry.refresh()
    assert registry.get("first") is old


def test_a_file_that_was_mended_in_its_time_is_found_by_looking_again(
    paths: dict[str, Path],
) -> None:
    registry = Registry(paths)
    registry.load()
    old, status = registry.get("first"), paths["first"].stat()
    data = write_tiny_export(paths["first"].with_suffix(".new"), seed=2).read_bytes()
    assert len(data) == status.st_size
    paths["first"].write_bytes(data)
    os.utime(paths["first"], ns=(status.st_atime_ns, status.st_mtime_ns))
    registry.refresh()
    assert registry.get("first") is old  # nothing tells it from the old one
    registry.refresh(again=True)
    assert registry.get("first").version != old.version
