"""An environment for each peer, made once by uv from the peer's pinned requirements."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from atelier.errors import AtelierError
from atelier.storage import write_text

from . import SURROUNDINGS

_REQUIREMENTS = Path(__file__).resolve().parent / "peers"
_ENVIRONMENTS = Path(__file__).resolve().parent.parent / ".venv-peers"


def pinned_versions(name: str) -> dict[str, str]:
    """The versions that ``requirements-NAME.txt`` pins."""
    lines = _requirements(name).read_text(encoding="utf-8").splitlines()
    pins = (line.partition("==") for line in lines if "==" in line)
    return {package.strip(): version.strip() for package, _, version in pins}


def obtain_python(name: str) -> Path:
    """The Python of the environment NAME, which is made first if its requirements are new.

    Raises:
        AtelierError: it cannot be made.
    """
    folder = _ENVIRONMENTS / name
    python = folder / "bin" / "python"
    stamp = folder / ".stamp"
    requirements = _requirements(name)
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return python
    print(f"making the environment {folder}", file=sys.stderr, flush=True)
    _uv(name, "venv", "--clear", "--python", sys.executable, str(folder))
    # Compiled now, so that no run pays for it.
    _uv(name, "pip", "install", "--python", str(python), "--compile-bytecode", "-r", requirements)
    write_text(stamp, digest)
    return python


def _requirements(name: str) -> Path:
    return _REQUIREMENTS / f"requirements-{name}.txt"


def _uv(name: str, *words: str | Path) -> None:
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise AtelierError(
            f"cannot make the environment {name}: there is no uv", fix="Run `make setup`"
        )
    done = subprocess.run(
        [uv, *map(str, words), "--quiet"],
        env=SURROUNDINGS,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AtelierError(f"cannot make the environment {name}: {done.stderr.strip()}")
