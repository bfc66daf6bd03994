"""A folder or a table of photos as a data set: parts that do not leak, and bad files by name."""

import csv
import os

import numpy as np
import pytest

from atelier.config import Columns, PhotosConfig
from atelier.data import load_dataset, obtain_dataset, read_image, summarize, validation_of
from atelier.errors import DataError
from tests.data.photo_folders import encoded, make_photos, mangled, picture

SMALL = PhotosConfig(image_size=16)


def small(**changes):
    return PhotosConfig(image_size=16, **changes)


def contents(split):
    return {pixels.tobytes() for pixels in split.images}


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "photos", {"hat": 20, "sock": 20})


@pytest.fixture
def parts(tmp_path):
    root = tmp_path / "parts"
    for start, part in enumerate(("train", "validation", "test")):
        make_photos(root / part, {"hat": 6, "sock": 6}, start=100 * start)
    return root


def test_a_folder_is_a_data_set(photos):
    dataset = load_dataset(photos, SMALL)
    assert dataset.name == "photos"
    assert dataset.classes == ("hat", "sock")
    assert dataset.validation is None
    assert (len(dataset.train), len(dataset.test)) == (34, 6)
    for split in (dataset.train, dataset.test):
        for pixels, label, at in zip(split.images, split.labels, split.ids, strict=True):
            name = dataset.photos.files[at]
            assert name.startswith(dataset.classes[label])
            read = read_image(photos / name, channels=3, image_size=(16, 16))
            assert np.array_equal(pixels, read.pixels)
    assert dataset.photos.notes == ("6 of 40 photos were drawn for the test part",)


def test_it_is_the_same_however_it_is_reached(photos, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    prints = {
        load_dataset(spec, SMALL).fingerprint for spec in (photos, "photos", "./photos/", "link")
    }
    assert len(prints) == 1
    assert obtain_dataset("photos", SMALL, progress=False).fingerprint in prints


def test_the_fingerprint_is_of_content_labels_parts_and_size(photos):
    first = load_dataset(photos, SMALL).fingerprint
    assert load_dataset(photos, PhotosConfig(image_size=20)).fingerprint != first
    assert load_dataset(photos, small(test_share=0.3)).fingerprint != first
    path = photos / "hat/3.jpg"
    data = path.read_bytes()
    path.write_bytes(encoded(picture(77)))
    assert load_dataset(photos, SMALL).fingerprint != first
    path.write_bytes(data)
    os.utime(path, (1, 1))
    assert load_dataset(photos, SMALL).fingerprint == first
    path.rename(photos / "sock/99.jpg")
    assert load_dataset(photos, SMALL).fingerprint != first


def test_the_parts_of_the_source_are_kept(parts):
    dataset = load_dataset(parts, SMALL)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [12, 12, 12]
    assert dataset.photos.notes == ()
    # In one piece, for the rows lie in the order of the parts.
    assert isinstance(dataset.train.images.base, np.ndarray)
    learned, judged = validation_of(dataset, size=0.1, seed=3)
    assert len(learned) == 12
    assert judged is dataset.validation
    assert validation_of(dataset, size=0, seed=3)[1] is None


def test_a_photo_that_is_judged_is_not_learned(parts):
    judged = (parts / "test/hat/0.jpg").read_bytes()
    (parts / "train/hat/copy.jpg").write_bytes(judged)
    (parts / "validation/hat/copy.jpg").write_bytes(judged)
    dataset = load_dataset(parts, SMALL)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [12, 12, 12]
    assert "1 train photos and 1 validation photos left out" in dataset.photos.notes[0]
    assert not contents(dataset.train) & contents(dataset.test)
    kept = load_dataset(parts, small(keep_duplicates=True))
    assert [len(s) for s in (kept.train, kept.validation, kept.test)] == [13, 13, 12]
    assert "2 photos show the same" in kept.photos.notes[0]


def test_copies_stay_on_one_side_of_a_cut(photos):
    for number in range(20):
        data = (photos / f"hat/{number}.jpg").read_bytes()
        (photos / f"hat/{number}-again.jpg").write_bytes(data)
    dataset = load_dataset(photos, small(test_share=0.3))
    assert len(dataset.test) > 10
    assert not contents(dataset.train) & contents(dataset.test)
    learned, judged = validation_of(dataset, size=0.3, seed=1)
    assert not contents(dataset.train.take(learned)) & contents(judged)


def test_no_test_part_where_none_is_wanted(photos):
    dataset = load_dataset(photos, small(test_share=0))
    assert dataset.test is None
    assert len(dataset.train) == 40


def test_a_table_is_a_data_set(photos):
    rows = ["foto;label;split;group;weight"]
    for number in range(20):
        part = "val" if number > 15 else "train"
        rows += [
            f"{label}/{number}.jpg;{label}s;{part};{label}{number // 2};{number}"
            for label in ("hat", "sock")
        ]
    (photos / "photos.csv").write_text("\n".join(rows))
    dataset = load_dataset(photos / "photos.csv", small(columns=Columns(image="foto")))
    assert dataset.classes == ("hats", "socks")
    assert (len(dataset.train), len(dataset.validation), dataset.test) == (32, 8, None)
    facts = dataset.photos
    at = facts.files.index("hat/5.jpg")
    assert facts.weights[at] == 5
    same = [
        name for name, g in zip(facts.files, facts.groups, strict=True) if g == facts.groups[at]
    ]
    assert same == ["hat/4.jpg", "hat/5.jpg"]


def test_a_group_that_the_source_tears_apart_is_told(photos):
    rows = ["image,label,split,group"]
    rows += [f"hat/{n}.jpg,hat,{'train' if n else 'test'},x" for n in range(4)]
    rows += [f"sock/{n}.jpg,sock,train,y" for n in range(4)]
    (photos / "photos.csv").write_text("\n".join(rows))
    notes = load_dataset(photos / "photos.csv", SMALL).photos.notes
    assert notes == ("photos of one group stand in two parts, as the source puts them",)


def test_a_class_with_too_few_photos_to_cut(photos):
    make_photos(photos, {"boot": 1})
    with pytest.raises(DataError, match=r"the class 'boot' .* photos\.test_share=0"):
        load_dataset(photos, SMALL)


def test_a_class_of_which_nothing_is_left(parts):
    for path in (parts / "train/hat").iterdir():
        path.unlink()
    (parts / "train/hat/copy.jpg").write_bytes((parts / "test/hat/0.jpg").read_bytes())
    with pytest.raises(DataError, match=r"no photos of the class 'hat' .* are left to train on"):
        load_dataset(parts, SMALL)


def test_photos_can_be_summarized_and_drawn(photos, parts, tmp_path):
    from atelier.reporting import save_data_figures

    for root in (photos, parts):
        dataset = load_dataset(root, SMALL)
        assert "16 x 16 RGB, 2 classes" in str(summarize(dataset))
    assert all(path.stat().st_size for path in save_data_figures(dataset, tmp_path / "figures"))


# Bad files.


@pytest.fixture
def spoiled(photos):
    """A folder of 40 photos and of 300 files that are none; and the names of these."""
    files = mangled()
    for name, data in files.items():
        (photos / "hat" / name).write_bytes(data)
    names = {f"hat/{name}" for name in files}
    (photos / "sock/gone.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(photos / "sock/pipe.jpg")
    with (photos / "sock/huge.jpg").open("wb") as file:
        file.truncate(33 * 2**20)
    names |= {"sock/gone.jpg", "sock/pipe.jpg", "sock/huge.jpg"}
    if os.geteuid() != 0:
        (photos / "sock/locked.jpg").write_bytes(encoded(picture(1)))
        (photos / "sock/locked.jpg").chmod(0)
        names.add("sock/locked.jpg")
    return photos, names


def test_every_bad_file_is_named_with_its_reason_and_no_good_one_is_lost(spoiled):
    root, names = spoiled
    assert len(names) >= 300
    with pytest.raises(DataError) as caught:
        load_dataset(root, SMALL)
    line = str(caught.value)
    assert "\n" not in line
    assert f"{len(names)} of {len(names) + 40} photos in {root} cannot be read" in line
    assert "--skip-bad" in line
    path = line.partition("all are listed in ")[2].split(". ")[0]
    with open(path, newline="") as file:  # noqa: PTH123
        rows = list(csv.DictReader(file))
    assert {row["file"] for row in rows} == names
    assert all(len(row["reason"]) > 10 for row in rows)
    assert {row["file"]: row["reason"] for row in rows}["sock/gone.jpg"].startswith("there is no")

    dataset = load_dataset(root, small(skip_bad=True))
    assert len(dataset.train) + len(dataset.test) == 40
    assert f"{len(names)} of {len(names) + 40} photos cannot be read" in dataset.photos.notes[0]
    for split in (dataset.train, dataset.test):
        for pixels, at in zip(split.images, split.ids, strict=True):
            read = read_image(root / dataset.photos.files[at], channels=3, image_size=(16, 16))
            assert np.array_equal(pixels, read.pixels)


def test_a_class_of_bad_files_alone_is_told(photos):
    (photos / "boot").mkdir()
    (photos / "boot/1.jpg").write_bytes(b"")
    dataset = load_dataset(photos, small(skip_bad=True))
    assert dataset.classes == ("hat", "sock")
    assert "classes without a photo that can be read: boot" in dataset.photos.notes


def test_the_command_line_skips_bad_files_when_told(refused, photos, capsys, here):
    from atelier import cli

    (photos / "hat/bad.jpg").write_bytes(b"no photo")
    words = ["train", "mlp", "--data", str(photos), "--set", "photos.image_size=16", "--quiet"]
    words += ["--set", "model.width=16", "--set", "train.num_epochs=1", "--out", "run"]
    words += ["--set", "train.warmup_epochs=0", "--set", "train.batch_size=8"]
    line = refused(*words)
    assert "1 of 41 photos" in line
    assert "hat/bad.jpg (not an image that can be read" in line
    with pytest.raises(SystemExit) as left:
        cli.main([*words, "--skip-bad"])
    said = capsys.readouterr()
    assert left.value.code == 0, said.err
    assert "1 of 41 photos cannot be read and are left out; listed in " in said.err
    assert (here / "run/metrics.json").is_file()
