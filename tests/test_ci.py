"""What `.ci/run` installs for the tests, and that none of them may skip there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "cat", "env", "printf", "tee", "chmod", "rm", "true")
pytest_plugins = ["pytester"]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with hardly anything on it, where programs can be put."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = next(p for p in (Path("/usr/bin"), Path("/bin")) if (p / name).exists())
        (folder / name).symlink_to(found / name)
    return folder


def put(folder: Path, name: str, body: str = "exit 0") -> None:
    program = folder / name
    program.write_text(f"#!/bin/bash\n{body}\n")
    program.chmod(0o755)


def install(repository: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(path / "bash"), str(repository / ".ci" / "install-tools")],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_installed_where_all_is_there(repository, bare):
    for name in ("chromium", "promtool", "initdb"):
        put(bare, name)
    done = install(repository, bare)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_missing_is_installed_after_an_update(repository, bare, tmp_path):
    for name in ("promtool", "initdb"):
        put(bare, name)
    put(bare, "id", "echo 1000")
    put(bare, "sudo", '[ "$1" = -n ] && shift; case "$1" in env) exec "$@";; esac')
    put(bare, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    done = install(repository, bare)
    assert done.returncode == 0, done.stderr
    update, install_call = (tmp_path / "calls").read_text().splitlines()
    assert update.endswith("update")
    assert install_call.endswith("install -y --no-install-recommends chromium")


def test_without_root_it_says_what_is_missing(repository, bare):
    put(bare, "initdb")
    put(bare, "id", "echo 1000")
    put(bare, "apt-get", "exit 99")
    done = install(repository, bare)
    assert done.returncode == 0
    assert "cannot install chromium prometheus" in done.stderr
    assert "root" in done.stderr


def test_without_apt_or_network_it_says_so(repository, bare):
    put(bare, "initdb")
    put(bare, "id", "echo 1000")
    put(bare, "sudo", '[ "$1" = -n ] && shift; case "$1" in env) exec "$@";; esac')
    assert "there is no apt-get" in install(repository, bare).stderr
    put(bare, "apt-get", "exit 100")
    done = install(repository, bare)
    assert done.returncode == 0
    assert "apt-get update failed" in done.stderr


@pytest.mark.parametrize(("ci", "outcome"), [("true", {"errors": 2}), ("", {"skipped": 2})])
def test_where_ci_is_set_nothing_may_skip(pytester, repository, monkeypatch, ci, outcome):
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest((repository / "tests" / "conftest.py").read_text())
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def promtool():
            pytest.skip("promtool is not installed")

        def test_a_rule(promtool): ...

        @pytest.mark.skipif(True, reason="another reason")
        def test_another(): ...
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(**outcome)
    if ci:
        result.stdout.fnmatch_lines(["*promtool is not installed*"])
