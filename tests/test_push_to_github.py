"""push_to_github.sh against bare repositories on disk."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

Result = subprocess.CompletedProcess[str]


class Project:
    """A repository with one commit, a bare repository to publish it to, and the script."""

    def __init__(self, folder: Path, script: Path) -> None:
        self.script = script
        self.path, self.bare, self.bin = folder / "project", folder / "bare.git", folder / "bin"
        self.bin.mkdir()
        # Nothing of this machine's git settings or GitHub login may matter, or be touched.
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
        } | {
            f"GIT_{who}_{what}": value
            for who in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "A Tester"), ("EMAIL", "tester@example.com"))
        }
        self.git("init", "--quiet", "--bare", "--initial-branch=main", self.bare, where=folder)
        self.git("init", "--quiet", "--initial-branch=main", self.path, where=folder)
        self.commit("first")

    def git(self, *args: str | Path, where: Path | None = None) -> str:
        return subprocess.run(
            ["git", *args],
            cwd=where or self.path,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, name: str, where: Path | None = None) -> None:
        where = where or self.path
        (where / f"{name}.txt").write_text(name)
        self.git("add", ".", where=where)
        self.git("commit", "--quiet", "--message", name, where=where)

    def push(
        self, *args: str | Path, where: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", self.script, *args],
            cwd=where or self.path,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def refused(self, *args: str | Path, where: Path | None = None) -> str:
        """Push, expecting exit code 2 and one line of reason; return that line."""
        result = self.push(*args, where=where)
        assert result.returncode == 2, result.stdout + result.stderr
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        return result.stderr

    def published(self) -> dict[str, str]:
        """Every reference of the bare repository and what it points to."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", where=self.bare)
        return dict(line.split() for line in lines.splitlines())

    def imitate_gh(self, body: str) -> None:
        """Put a `gh` on the path that runs `body`, and make github.com the bare repository."""
        gh = self.bin / "gh"
        gh.write_text(f"#!/bin/sh\n{body}\n")
        gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
        github = "https://github.com/owner/atelier.git"
        self.git("config", "--global", f"url.{self.bare}.insteadOf", github)


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Project:
    return Project(tmp_path, repository / "push_to_github.sh")


def test_first_push_publishes_branch_and_tags(project: Project) -> None:
    project.git("tag", "v1")
    project.git("tag", "--annotate", "--message", "second", "v2")
    result = project.push("--remote", project.bare)
    assert result.returncode == 0, result.stderr
    assert set(project.published()) == {"refs/heads/main", "refs/tags/v1", "refs/tags/v2"}
    assert project.published()["refs/heads/main"] == project.git("rev-parse", "HEAD")
    assert project.git("remote", "get-url", "origin") == str(project.bare)
    assert project.git("rev-parse", "--abbrev-ref", "main@{upstream}") == "origin/main"


def test_second_push_has_nothing_to_do(project: Project) -> None:
    project.git("tag", "--annotate", "--message", "one", "v1")
    project.push("--remote", project.bare)
    before = project.published()
    result = project.push()
    assert result.returncode == 0, result.stderr
    assert "nothing to do" in result.stdout
    assert project.published() == before


def test_later_push_sends_only_what_is_new(project: Project) -> None:
    project.push("--remote", project.bare)
    project.commit("second")
    project.git("tag", "v1")
    result = project.push()
    assert "new commits: 1, new tags: 1" in result.stdout
    assert project.published()["refs/heads/main"] == project.git("rev-parse", "HEAD")


def test_runs_from_a_folder_below_with_a_relative_address(project: Project) -> None:
    below = project.path / "below"
    below.mkdir()
    result = project.push("--remote", Path("..") / ".." / "bare.git", where=below)
    assert result.returncode == 0, result.stderr
    assert "refs/heads/main" in project.published()


def test_dry_run_changes_nothing(project: Project) -> None:
    project.git("tag", "v1")
    result = project.push("--remote", project.bare, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("would push main")
    assert project.published() == {}
    assert project.git("remote") == ""


def test_commits_of_others_are_not_overwritten(project: Project, tmp_path: Path) -> None:
    project.push("--remote", project.bare)
    other = tmp_path / "other"
    project.git("clone", "--quiet", project.bare, other)
    project.commit("theirs", where=other)
    project.git("push", "--quiet", where=other)
    before = project.published()
    project.commit("ours")
    assert "fetch and merge them first" in project.refused()
    project.git("fetch", "--quiet", "origin")  # known, but still not merged
    assert "fetch and merge them first" in project.refused()
    assert project.published() == before


def test_a_tag_of_others_is_not_moved(project: Project) -> None:
    project.git("tag", "v1")
    project.push("--remote", project.bare)
    before = project.published()
    project.commit("second")
    project.git("tag", "--force", "v1")
    assert "the tag v1 is another one" in project.refused()
    assert project.published() == before


@pytest.mark.parametrize("name", ["first.txt", "new.txt"])
def test_a_dirty_tree_is_refused(project: Project, name: str) -> None:
    (project.path / name).write_text("changed")
    assert "not committed (1)" in project.refused("--remote", project.bare)
    assert project.published() == {}


def test_a_detached_head_is_refused(project: Project) -> None:
    project.git("checkout", "--quiet", "--detach")
    assert "HEAD is detached" in project.refused("--remote", project.bare)


def test_a_repository_without_commits_is_refused(project: Project, tmp_path: Path) -> None:
    project.git("init", "--quiet", tmp_path / "empty", where=tmp_path)
    assert "no commit yet" in project.refused("--remote", project.bare, where=tmp_path / "empty")


def test_a_folder_that_is_no_repository_is_refused(project: Project, tmp_path: Path) -> None:
    assert "not inside a git repository" in project.refused(where=tmp_path)


def test_no_remote_is_refused(project: Project) -> None:
    assert "--repo OWNER/NAME" in project.refused()


def test_another_origin_is_refused(project: Project) -> None:
    project.git("remote", "add", "origin", "https://user:secret@example.com/other.git")
    line = project.refused("--remote", project.bare)
    assert "https://example.com/other.git" in line
    assert "secret" not in line


def test_an_address_that_does_not_answer_is_refused(project: Project, tmp_path: Path) -> None:
    assert "cannot read" in project.refused("--remote", tmp_path / "absent.git")
    assert project.git("remote") == ""


def test_a_remote_that_refuses_the_push_keeps_what_it_had(project: Project) -> None:
    project.push("--remote", project.bare)
    before = project.published()
    hook = project.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    project.commit("second")
    result = project.push()
    assert result.returncode == 2
    assert "did not take the push" in result.stderr
    assert project.published() == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--frce"], "unknown option '--frce'"),
        (["--remote"], "--remote needs a value"),
        (["--repo", "--dry-run"], "--repo needs a value"),
        (["--repo", "atelier"], "not OWNER/NAME"),
        (["--repo", "a/b", "--remote", "c"], "not both"),
    ],
)
def test_wrong_options_are_refused(project: Project, args: list[str], words: str) -> None:
    assert words in project.refused(*args)


def test_help_is_shown_anywhere(project: Project, tmp_path: Path) -> None:
    result = project.push("--help", where=tmp_path)
    assert result.returncode == 0
    assert "--dry-run" in result.stdout


def test_a_repository_that_is_not_there_is_created_with_gh(project: Project) -> None:
    project.bare.rename(project.bare.with_suffix(".away"))
    project.imitate_gh(
        f'[ "$1 $2" = "repo view" ] && exit 1\n'
        f'if [ "$1 $2" = "repo create" ]; then mv {project.bare.with_suffix(".away")} '
        f"{project.bare}; fi"
    )
    dry = project.push("--repo", "owner/atelier", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would create the public repository owner/atelier" in dry.stdout
    assert not project.bare.exists()
    result = project.push("--repo", "owner/atelier", "--private")
    assert result.returncode == 0, result.stderr
    assert "create the private repository owner/atelier" in result.stdout
    assert set(project.published()) == {"refs/heads/main"}


def test_without_a_login_nothing_is_created(project: Project) -> None:
    project.bare.rename(project.bare.with_suffix(".away"))
    project.imitate_gh("exit 1")
    assert "run gh auth login" in project.refused("--repo", "owner/atelier")
