"""The Makefile and the files that set-up reads."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest


def make(where: Path, *args: str) -> subprocess.CompletedProcess[str]:
    # Not the MAKEFLAGS of the `make test` that may be running this.
    clean = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "-u", "MFLAGS", "-u", "PYTHON"]
    return subprocess.run(
        [*clean, "make", *args], cwd=where, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path, repository: Path) -> Path:
    """A folder with what set-up reads, and no environment yet."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path / name)
    return tmp_path


def python_that(checkout: Path, body: str) -> str:
    """A stand-in for Python that runs the shell commands `body`."""
    script = checkout / "fake-python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return f"PYTHON={script}"


def test_make_alone_explains_every_target(checkout: Path) -> None:
    result = make(checkout)
    assert result.returncode == 0
    for target in ("demo", "test", "check", "setup", "notebook", "bench", "lock", "clean"):
        assert re.search(rf"^  {target} +\S", result.stdout, re.MULTILINE)
    assert not (checkout / ".venv").exists()


def test_setup_is_done_once(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".stamp").touch()
    result = make(checkout, "setup", "PYTHON=false")
    assert result.returncode == 0, result.stderr
    assert "ready" in result.stdout


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('[ "$1" = --version ] && echo Python 3.9.2; exit 1', "Python 3.9.2 is too old"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "python3-venv"),
    ],
)
def test_a_python_that_will_not_do_is_named(checkout: Path, body: str, words: str) -> None:
    result = make(checkout, "setup", python_that(checkout, body))
    assert result.returncode == 2
    assert words in result.stderr.splitlines()[0]
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_named(checkout: Path) -> None:
    result = make(checkout, "setup", "PYTHON=python9.9")
    assert result.returncode == 2
    assert "there is no python9.9" in result.stderr.splitlines()[0]


def test_a_setup_that_fails_leaves_no_stamp(checkout: Path) -> None:
    python = python_that(checkout, 'case "$2" in venv) mkdir .venv; exit 1;; esac')
    assert make(checkout, "setup", python).returncode == 2
    assert not (checkout / ".venv" / ".stamp").exists()
    assert make(checkout, "setup", python).returncode == 2  # so the next call tries again


def test_clean_keeps_the_runs(checkout: Path) -> None:
    for name in ("runs/demo", ".venv/bin", ".mypy_cache", "src/__pycache__"):
        (checkout / name).mkdir(parents=True)
    assert make(checkout, "clean").returncode == 0
    assert (checkout / "runs" / "demo").is_dir()
    for name in (".venv", ".mypy_cache", "src/__pycache__"):
        assert not (checkout / name).exists()


def test_the_lock_pins_by_hash_and_names_no_index(repository: Path) -> None:
    lines = (repository / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pins
    assert all(re.match(r"[a-z0-9._-]+==[^ ]+ .*\\$", line) for line in pins)
    assert sum("--hash=sha256:" in line for line in lines) >= len(pins)
    assert not any("://" in line or "index-url" in line for line in lines)
