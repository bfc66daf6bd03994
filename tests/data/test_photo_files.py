"""Folders of photos: what is a class, what is a part, and what is none of both."""

import os
import unicodedata

import pytest
from PIL import Image

from atelier.data.photo_files import list_class_folders, list_photos
from atelier.errors import DataError


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path, "PNG")
    return folder


def refused(folder):
    with pytest.raises(DataError) as caught:
        list_class_folders(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def listed(folder):
    return [(photo.part, photo.label, photo.name) for photo in list_class_folders(folder).photos]


def test_classes_and_photos_come_in_one_order(tmp_path):
    put(tmp_path, "pants/2.png", "hat/b.png", "pants/10.png", "hat/a.png", "Ärmel/x.png")
    source = list_class_folders(tmp_path)
    assert source.classes == ("hat", "pants", "Ärmel")
    assert [photo.name for photo in source.photos] == [
        *("hat/a.png", "hat/b.png", "pants/10.png", "pants/2.png", "Ärmel/x.png")
    ]
    assert source.notes == []


@pytest.mark.parametrize("names", ["train valid test", "Train VAL Test", "training validation"])
def test_parts_are_known_by_any_of_their_names(tmp_path, names):
    for name in names.split():
        put(tmp_path, f"{name}/hat/1.png", f"{name}/sock/1.png")
    parts = [photo.part for photo in list_class_folders(tmp_path).photos]
    expected = ["train", "validation", "test"][: len(names.split())]
    assert parts == [part for part in expected for _ in range(2)]


def test_nested_folders_belong_to_their_class_and_litter_to_none(tmp_path):
    put(
        tmp_path,
        *("hat/red/old/1.png", "hat/2.png", "sock/1.png", ".git/1.png", "hat/.hidden/1.png"),
        *("hat/._2.png", "__MACOSX/hat/1.png", "hat/Thumbs.db", "hat/.DS_Store", "desktop.ini"),
    )
    source = list_class_folders(tmp_path)
    names = [photo.name for photo in source.photos]
    assert names == ["hat/2.png", "hat/red/old/1.png", "sock/1.png"]
    assert source.notes == []


def test_files_without_a_suffix_are_known_by_their_first_bytes(tmp_path):
    put(tmp_path, "hat/one", "hat/two.data", "sock/1.png")
    (tmp_path / "hat/notes.txt").write_text("BMW and II are no pictures")
    (tmp_path / "sock/empty").touch()
    source = list_class_folders(tmp_path)
    names = [photo.name for photo in source.photos]
    assert names == ["hat/one", "hat/two.data", "sock/1.png"]
    assert source.notes == ["2 files without an image ignored: hat/notes.txt, sock/empty"]


def test_photos_outside_of_class_folders_are_told(tmp_path):
    put(tmp_path, "hat/1.png", "sock/1.png", "loose.png")
    (tmp_path / "LICENSE").write_text("Free.")
    assert list_class_folders(tmp_path).notes == ["1 photo in no class folder left out: loose.png"]


def test_links_are_followed_and_circles_have_an_end(tmp_path):
    put(tmp_path / "elsewhere", "1.png")
    data = put(tmp_path / "data", "hat/1.png", "sock/in/1.png")
    (data / "boot").symlink_to(tmp_path / "elsewhere")
    (data / "hat/2.png").symlink_to(tmp_path / "elsewhere/1.png")
    (data / "hat/gone.png").symlink_to(tmp_path / "nothing.png")
    (data / "sock/in/again").symlink_to(data / "sock")
    assert [name for _, _, name in listed(data)] == [
        *("boot/1.png", "hat/1.png", "hat/2.png", "hat/gone.png", "sock/in/1.png")
    ]


def test_composed_and_decomposed_names_are_one_class(tmp_path):
    put(tmp_path, "train/Mütze/1.png", "train/sock/1.png")
    put(tmp_path, unicodedata.normalize("NFD", "val/Mütze/1.png"), "val/sock/1.png")
    assert [label for _, label, _ in listed(tmp_path)] == ["Mütze", "sock"] * 2


@pytest.mark.parametrize(("one", "two"), [("Hat", "hat"), ("hat", "hat "), ("STRASSE", "straße")])
def test_names_that_hardly_differ_are_refused(tmp_path, one, two):
    put(tmp_path, f"train/{one}/1.png", "train/sock/1.png", f"val/{two}/1.png")
    line = refused(tmp_path)
    assert repr(one) in line
    assert repr(two) in line


def test_a_class_that_was_not_trained_on_is_refused(tmp_path):
    put(tmp_path, "train/hat/1.png", "train/trousers/1.png", "test/trouser/1.png")
    line = refused(tmp_path)
    assert "the class 'trouser' is in the test part" in line
    assert "Did you mean 'trousers'?" in line


def test_an_empty_class_folder_is_told(tmp_path):
    put(tmp_path, "hat/1.png", "sock/1.png")
    (tmp_path / "boot").mkdir()
    notes = list_class_folders(tmp_path).notes
    assert notes == ["1 class folder without photos left out: 'boot'"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/hat/1.png", "hat/1.png"], "both parts and other folders"),
        (["val/hat/1.png", "val/sock/1.png"], "no photos to train on"),
        (["val/hat/1.png", "valid/hat/1.png"], "two validation parts: val and valid"),
        (["hat/1.png", "hat/2.png"], "photos of one class alone; got 'hat'"),
        (["1.png", "2.png"], "neither class folders nor IDX files; got '2 x .png'"),
    ],
)
def test_a_folder_that_cannot_be_understood(tmp_path, names, words):
    assert words in refused(put(tmp_path, *names))


def test_a_name_that_is_no_text_is_refused(tmp_path):
    put(tmp_path, "hat/1.png")
    try:
        (tmp_path / os.fsdecode(b"\xff")).mkdir()
    except OSError:
        pytest.skip("this file system knows only Unicode names")
    assert "not Unicode" in refused(tmp_path)


def test_a_file_whose_name_is_no_text_is_a_photo(tmp_path):
    put(tmp_path, "hat/1.png", "sock/1.png")
    try:
        (tmp_path / "hat/1.png").rename(tmp_path / os.fsdecode(b"hat/\xff.png"))
    except OSError:
        pytest.skip("this file system knows only Unicode names")
    assert [name for _, _, name in listed(tmp_path)] == ["hat/\\udcff.png", "sock/1.png"]


def test_a_folder_without_labels(tmp_path):
    put(tmp_path, "b.png", "deep/down/a.jpg", ".hidden.png", "no-suffix")
    (tmp_path / "notes.txt").write_text("Text.")
    (tmp_path / "gone.png").symlink_to("nothing")
    assert [path.relative_to(tmp_path).as_posix() for path in list_photos(tmp_path)] == [
        *("b.png", "deep/down/a.jpg", "gone.png", "no-suffix")
    ]
    with pytest.raises(DataError, match="there is no folder"):
        list_photos(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no image files"):
        list_photos(tmp_path / "empty")
