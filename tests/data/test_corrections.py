"""A file of corrections is a data set: it changes what it says, and refuses what does not fit."""

import csv
import json

import numpy as np
import pytest

import atelier
from atelier.config import PhotosConfig
from atelier.data import load_dataset
from atelier.data.corrections import is_corrections
from atelier.errors import DataError
from tests.data.photo_folders import make_photos

HEADER = ["image", "given", "suggested", "action", "data"]
SMALL = PhotosConfig(image_size=16)


def write(path, rows, *, data="fashion-mnist-sample", delimiter=",", encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(HEADER)
        writer.writerows([*row, data] for row in rows)
    return path


def row(sample, at, action, suggested="Bag", part="train"):
    split = getattr(sample, part)
    name = f"{part}/{split.ids[at]}"
    return [name, sample.classes[split.labels[at]], suggested, action]


def test_labels_change_and_images_are_left_out(sample, tmp_path):
    path = write(
        tmp_path / "labels.csv",
        [
            row(sample, 3, "relabel", "Bag"),
            row(sample, 4, "Ankle boot"),
            row(sample, 5, "DROP"),
            row(sample, 6, "keep"),
            row(sample, 7, ""),
            row(sample, 0, "keep", part="test"),
        ],
    )
    fixed = load_dataset(path)
    assert len(fixed.train) == len(sample.train) - 1
    assert np.array_equal(fixed.train.ids, np.delete(sample.train.ids, 5))
    wanted = sample.train.labels.copy()
    wanted[3], wanted[4] = sample.classes.index("Bag"), sample.classes.index("Ankle boot")
    assert np.array_equal(fixed.train.labels, np.delete(wanted, 5))
    assert np.array_equal(fixed.test.labels, sample.test.labels)
    assert fixed.fingerprint != sample.fingerprint
    assert fixed.name == "fashion-mnist-sample corrected by labels.csv"
    (done,) = fixed.corrected
    assert (done.relabeled, done.dropped) == (2, 1)
    assert len(sample.train) == 1000


def test_a_file_that_says_nothing_changes_nothing(sample, tmp_path):
    path = write(tmp_path / "labels.csv", [row(sample, 3, "")])
    assert load_dataset(path).fingerprint == sample.fingerprint


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16")])
def test_what_a_spreadsheet_saves_is_read(sample, tmp_path, delimiter, encoding):
    rows = [row(sample, 3, "drop")]
    path = write(tmp_path / "labels.csv", rows, delimiter=delimiter, encoding=encoding)
    assert is_corrections(path)
    assert len(load_dataset(path).train) == 999


def test_the_order_of_rows_does_not_matter(sample, tmp_path):
    rows = [row(sample, at, "drop") for at in (3, 9, 30)]
    first = load_dataset(write(tmp_path / "a.csv", rows))
    second = load_dataset(write(tmp_path / "b.csv", rows[::-1]))
    assert first.fingerprint == second.fingerprint


def test_corrections_of_corrections(sample, tmp_path):
    path = write(tmp_path / "first.csv", [row(sample, 3, "Bag")])
    again = [[row(sample, 3, "")[0], "Bag", "", "Coat"], row(sample, 8, "drop")]
    write(tmp_path / "second.csv", again, data="first.csv")  # found where the file lies
    fixed = load_dataset(tmp_path / "second.csv")
    assert fixed.classes[fixed.train.labels[3]] == "Coat"
    assert [done.file for done in fixed.corrected] == [str(path), str(tmp_path / "second.csv")]
    write(path, [row(sample, 3, "Bag")], data="second.csv")
    with pytest.raises(DataError, match="corrects itself"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({0: "train/60001"}, "an image that fashion-mnist-sample does not have in row 3"),
        (
            {1: "Bagel"},
            "another label in the column 'given' than fashion-mnist-sample has in row 3",
        ),
        ({3: "Sneakers"}, r"'Sneakers', in row 3; allowed: keep or .* Did you mean 'Sneaker'"),
        ({2: "", 3: "relabel"}, "is not known, '', in row 3"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_row(sample, tmp_path, changes, said):
    bad = row(sample, 4, "drop")
    for at, value in changes.items():
        bad[at] = value
    path = write(tmp_path / "labels.csv", [row(sample, 3, "drop"), bad])
    with pytest.raises(DataError, match=said):
        load_dataset(path)


def test_test_labels_are_never_corrected(sample, tmp_path):
    for action in ("drop", "Bag", "relabel"):
        path = write(tmp_path / "labels.csv", [row(sample, 2, action, part="test")])
        with pytest.raises(DataError, match=r"a correction of a test image.* in row 2"):
            load_dataset(path)


def test_two_opinions_and_two_data_sets_are_refused(sample, tmp_path):
    path = write(tmp_path / "labels.csv", [row(sample, 3, "drop"), row(sample, 3, "Bag")])
    with pytest.raises(DataError, match=r"different things to say of 'train/.*' in rows 2, 3"):
        load_dataset(path)
    text = write(path, [row(sample, 3, "drop"), row(sample, 4, "drop")]).read_text()
    path.write_text(text[::-1].replace("elpmas-tsinm-noihsaf", "rehto", 1)[::-1])
    with pytest.raises(DataError, match="must name one data set"):
        load_dataset(path)


def test_a_class_keeps_an_image(sample, tmp_path):
    bags = np.flatnonzero(sample.train.labels == sample.classes.index("Bag")).tolist()
    path = write(tmp_path / "labels.csv", [row(sample, at, "drop") for at in bags])
    with pytest.raises(DataError, match="leaves no training image of 'Bag'"):
        load_dataset(path)


def test_photos_are_corrected_as_if_they_were_moved(tmp_path):
    root = make_photos(tmp_path / "photos", {"hat": 20, "sock": 20})
    plain = load_dataset(root, SMALL)
    hats = [name for name in plain.photos.files if name.startswith("hat")]
    rows = [[hats[0], "hat", "sock", "relabel"], [hats[1], "hat", "sock", "drop"]]
    path = write(tmp_path / "fixes.csv", rows, data=str(root))
    fixed = load_dataset(path, SMALL)
    assert len(fixed.train) + len(fixed.test) == 39
    labels = {
        fixed.photos.files[at]: fixed.classes[label]
        for split in (fixed.train, fixed.test)
        for at, label in zip(split.ids, split.labels, strict=True)
    }
    assert labels[hats[0]] == "sock"
    assert hats[1] not in labels
    assert sum(label == "hat" for label in labels.values()) == 18


def test_a_run_says_what_it_was_trained_on(sample, tmp_path):
    path = write(tmp_path / "labels.csv", [row(sample, 3, "drop"), row(sample, 4, "Bag")])
    said = []
    run = atelier.train(
        "mlp",
        data=str(path),
        overrides=["train.num_epochs=1", "train.warmup_epochs=0", "model.width=8"],
        out=tmp_path / "run",
        progress=False,
        say=said.append,
    )
    assert said == [f"1 labels corrected and 1 images left out by {path}"]
    assert run.environment["corrected"][0]["relabeled"] == 1
    assert json.loads((run.path / "recipe.json").read_text())["data"] == str(path)
    assert "500 test images" in str(atelier.evaluate(run))
    write(path, [row(sample, 3, "drop")])
    (run.path / "predictions" / "test.npz").unlink()
    with pytest.raises(atelier.AtelierError, match="was trained on other data"):
        atelier.evaluate(run)
