"""Writing leaves the whole new thing, or what was there before, and never anything between."""

import errno
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from atelier import storage
from atelier.errors import RunError, StorageError
from atelier.storage import (
    atomic_folder,
    atomic_path,
    explained,
    refuse_existing,
    remove,
    write_json,
    write_text,
)


@pytest.fixture
def umask():
    """A function that sets the umask until the test ends."""
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def refusing(number):
    """A stand-in for a method of `Path` that the system refuses."""

    def refuse(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    return refuse


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_whole_with_its_folders(tmp_path):
    path = tmp_path / "new" / "folders" / "text.txt"
    write_text(path, "Grüße\n")
    assert path.read_text("utf-8") == "Grüße\n"
    assert list(path.parent.iterdir()) == [path]


def test_json_ends_in_a_newline_and_keeps_letters_readable(tmp_path):
    write_json(tmp_path / "x.json", {"name": "Röcke"})
    assert (tmp_path / "x.json").read_text("utf-8") == '{\n  "name": "Röcke"\n}\n'


def test_the_temporary_file_ends_as_the_wanted_one(tmp_path):
    with atomic_path(tmp_path / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path, failure):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail(temporary):
        temporary.write_text("half")
        raise failure

    with pytest.raises(failure), atomic_path(path) as temporary:
        fail(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "No space left on device. Free some space"),
        (errno.EDQUOT, "quota exceeded. Free some space"),
        (errno.EACCES, "Permission denied. Choose a folder that you may write to"),
        (errno.EROFS, "Read-only file system. Choose a folder that you may write to"),
        (errno.EIO, "error. Check the path and the disk"),
    ],
)
@pytest.mark.parametrize("method", ["touch", "write_text", "replace"])
def test_what_the_system_refuses_is_explained(tmp_path, monkeypatch, number, said, method):
    path = tmp_path / "x.txt"
    path.write_text("old")
    monkeypatch.setattr(Path, method, refusing(number))
    with pytest.raises(StorageError) as caught:
        write_text(path, "new")
    assert str(caught.value).startswith(f"cannot write {path}: ")
    assert said in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_may_not_be_made_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", refusing(errno.EACCES))
    with pytest.raises(StorageError, match=r"Permission denied\. Choose a folder"):
        write_text(tmp_path / "runs" / "x.txt", "new")


def test_weights_on_a_full_disk_are_explained_though_safetensors_hides_the_error(tmp_path):
    def fill_the_disk():
        raise SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    path = tmp_path / "model.safetensors"
    with (
        pytest.raises(StorageError, match=r"No space left on device\. Free some space"),
        atomic_path(path),
    ):
        fill_the_disk()
    assert not list(tmp_path.iterdir())


def test_the_real_safetensors_names_the_error_as_expected(tmp_path):
    with (
        pytest.raises(StorageError, match=r"cannot write .*directory"),
        explained(tmp_path / "x"),
    ):
        save_file({"a": torch.zeros(1)}, tmp_path / "missing" / "x")


def test_errors_that_speak_for_themselves_pass_unchanged(tmp_path):
    with pytest.raises(RunError, match=r"^corrupt \(os error 5\)$"), explained(tmp_path):
        raise RunError("corrupt (os error 5)")


def test_a_folder_in_the_way_of_a_file(tmp_path):
    with pytest.raises(StorageError, match="A folder stands where a file is needed"):
        write_text(tmp_path, "new")
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(StorageError, match="A file stands where a folder is needed"):
        write_text(tmp_path / "file" / "x.txt", "new")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_is_too_long(tmp_path, overwrite):
    path = tmp_path / ("x" * 300)
    with (
        pytest.raises(StorageError, match=r"File name too long\. Choose a shorter name"),
        atomic_folder(path, overwrite=overwrite),
    ):
        pass


def test_a_long_name_that_fits_is_written(tmp_path):
    write_text(tmp_path / ("x" * 250 + ".txt"), "new")


@pytest.mark.parametrize(("mask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_what_is_written_may_be_read_by_whom_the_umask_lets(tmp_path, umask, mask, file, folder):
    umask(mask)
    write_text(tmp_path / "x.txt", "text")
    # safetensors makes files private by itself.
    with atomic_path(tmp_path / "x.safetensors") as temporary:
        save_file({"a": torch.zeros(1)}, temporary)
    with atomic_folder(tmp_path / "folder"):
        pass
    assert permissions(tmp_path / "x.txt") == file
    assert permissions(tmp_path / "x.safetensors") == file
    assert permissions(tmp_path / "folder") == folder


def test_a_link_is_replaced_and_its_target_is_left_alone(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old")
    link.symlink_to(target)
    write_text(link, "new")
    assert target.read_text() == "old"
    assert link.read_text() == "new"
    assert not link.is_symlink()


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "deep" / "folder") as temporary:
        (temporary / "x").write_text("new")
        assert not (tmp_path / "deep" / "folder").exists()
    assert (tmp_path / "deep" / "folder" / "x").read_text() == "new"


def test_a_failed_folder_leaves_nothing(tmp_path):
    def fail(temporary):
        (temporary / "x").write_text("half")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"), atomic_folder(tmp_path / "folder") as temporary:
        fail(temporary)
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_not_overwritten_unasked(tmp_path):
    (tmp_path / "x").write_text("old")
    with (
        pytest.raises(StorageError, match=r"exists already, and nothing was overwritten\. Pass"),
        atomic_folder(tmp_path),
    ):
        pass
    assert (tmp_path / "x").read_text() == "old"


def test_an_empty_folder_is_nothing_to_lose(tmp_path):
    with atomic_folder(tmp_path / "runs") as temporary:
        (temporary / "x").write_text("new")
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "x").write_text("new")
    assert (tmp_path / "empty" / "x").read_text() == "new"


@pytest.mark.parametrize("kind", ["folder", "file", "link", "dangling link"])
def test_overwriting_replaces_whatever_stands_there(tmp_path, kind):
    place, target = tmp_path / "place", tmp_path / "target"
    if kind == "folder":
        place.mkdir()
        (place / "old").write_text("old")
    elif kind == "file":
        place.write_text("old")
    else:
        place.symlink_to(target)
        if kind == "link":
            target.mkdir()
            (target / "old").write_text("old")
    with atomic_folder(place, overwrite=True) as temporary:
        (temporary / "new").write_text("new")
    assert [path.name for path in place.iterdir()] == ["new"]
    left = {"place", "target"} if kind == "link" else {"place"}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert kind != "link" or (target / "old").exists()


def test_a_folder_that_cannot_be_replaced_keeps_what_was_there(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").write_text("old")
    monkeypatch.setattr(Path, "replace", refusing(errno.EACCES))
    with (
        pytest.raises(StorageError, match="Permission denied"),
        atomic_folder(folder, overwrite=True),
    ):
        pass
    assert (folder / "old").read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_anything_that_stands_there_is_refused(tmp_path, kind):
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("old")
    elif kind == "folder":
        place.mkdir()
        (place / "old").write_text("old")
    else:
        place.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="exists already"):
        refuse_existing(place, overwrite=False)
    refuse_existing(place, overwrite=True)
    refuse_existing(tmp_path / "free", overwrite=False)


def test_a_folder_that_may_not_be_looked_into_is_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.Path, "exists", refusing(errno.EACCES))
    with pytest.raises(StorageError, match=r"Permission denied\. Choose a folder"):
        refuse_existing(tmp_path / "x", overwrite=False)


def test_removing_a_link_leaves_its_target(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    remove(tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    remove(tmp_path / "target")
    assert not list(tmp_path.iterdir())
