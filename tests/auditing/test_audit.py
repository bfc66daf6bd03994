"""What a user learns of a folder before training on it, and of arrays without files."""

import csv
import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import atelier
from atelier.auditing import audit
from atelier.cli import main
from atelier.data import Dataset, ImageSplit, datasets
from atelier.errors import ConfigError, DataError, RunError


def picture(seed, side=64):
    rng = np.random.default_rng(seed)
    ground = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    ground = ground.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(ground)
    for _ in range(4):
        corners = [tuple(point) for point in rng.integers(0, side, (3, 2)).tolist()]
        draw.polygon(corners, fill=tuple(rng.integers(0, 256, 3).tolist()))
    return ground


def put(root, name, image, **options):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Sixteen photos, four of them copies, one empty and one tiny."""
    root = tmp_path_factory.mktemp("photos") / "shop"
    for seed in range(6):
        put(root, f"train/{'hat' if seed < 3 else 'shoe'}/{seed}.png", picture(seed))
    put(root, "train/shoe/0 again.png", picture(0))  # another label
    put(root, "train/hat/1 small.jpg", picture(1).resize((48, 48)), quality=70)
    put(root, "train/hat/blank.png", Image.new("RGB", (64, 64), (250, 250, 248)))
    put(root, "train/hat/tiny.png", picture(20, side=8))
    for seed in (10, 11):
        put(root, f"validation/{'hat' if seed == 10 else 'shoe'}/{seed}.png", picture(seed))
    put(root, "validation/shoe/4 turned.png", ImageOps.mirror(picture(4)))  # a leak
    put(root, "test/shoe/3 again.png", picture(3), compress_level=1)  # and another
    put(root, "test/hat/12.png", picture(12))
    return root


@pytest.fixture
def found(shop):
    return audit(str(shop), overrides=["photos.image_size=32"], progress=False)


def test_copies_are_found_the_worst_first(found):
    assert [(p.file_a, p.file_b, p.kind) for p in found.pairs] == [
        ("train/hat/0.png", "train/shoe/0 again.png", "exact"),
        ("train/shoe/3.png", "test/shoe/3 again.png", "exact"),
        ("train/shoe/4.png", "validation/shoe/4 turned.png", "mirrored"),
        ("train/hat/1 small.jpg", "train/hat/1.png", "near"),
    ]
    assert [(p.contradicts, p.leaks) for p in found.pairs] == [
        (True, False),
        (False, True),
        (False, True),
        (False, False),
    ]


def test_empty_and_tiny_photos_and_small_classes_are_named(found):
    assert found.constant == ("train/hat/blank.png",)
    assert [(p.file, p.width, p.height) for p in found.small] == [("train/hat/tiny.png", 8, 8)]
    assert any("fewer than 20 training images of shoe (4) and hat (6)" in w for w in found.warnings)


def test_the_text_gives_counts_then_pairs(found):
    text = str(found)
    assert text.startswith("shop: 10 train, 3 validation, 2 test images")
    assert text.index("labels differ") < text.index("train/shoe/0 again.png")
    assert text.index("train/shoe/0 again.png") < text.index("train/hat/1 small.jpg")
    assert "of one color are 1 image: train/hat/blank.png" in text
    assert "tiny.png (8 x 8)" in text


def test_the_command_leaves_a_table_and_a_picture(shop, tmp_path, capsys):
    options = ["--set", "photos.image_size=32", "--out", str(tmp_path / "out"), "-q"]
    with pytest.raises(SystemExit) as stop:
        main(["audit", str(shop), *options])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert f"picture: {tmp_path / 'out' / 'duplicates.png'}" in out
    with (tmp_path / "out" / "duplicates.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == (
        ["file_a", "file_b", "part_a", "part_b", "label_a", "label_b", "kind", "distance"]
    )
    assert [row["kind"] for row in rows] == ["exact", "exact", "mirrored", "near"]
    assert (rows[0]["label_a"], rows[0]["label_b"]) == ("hat", "shoe")
    with Image.open(tmp_path / "out" / "duplicates.png") as sheet:
        assert sheet.width > 300
    with pytest.raises(SystemExit):
        main(["audit", str(shop), *options, "--json"])
    parsed = json.loads(capsys.readouterr().out)
    assert parsed["images"] == {"train": 10, "validation": 3, "test": 2}
    assert parsed["pairs"][0]["file_b"] == "train/shoe/0 again.png"


def test_a_bad_file_is_told_and_stops_nothing(shop, tmp_path):
    own = shutil.copytree(shop, tmp_path / "own")
    (own / "train/hat/cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    result = audit(str(own), overrides=["photos.image_size=32"], progress=False)
    assert len(result.pairs) == 4
    assert any("1 of 16 photos cannot be read" in note for note in result.notes)


def test_clean_data_leave_no_picture_of_an_earlier_audit(shop, tmp_path):
    clean = shutil.copytree(shop, tmp_path / "clean")
    options = {"overrides": ["photos.image_size=32"], "out": tmp_path / "out", "progress": False}
    audit(str(clean), **options)
    for name in ("train/shoe/0 again.png", "train/hat/1 small.jpg", "test/shoe/3 again.png"):
        (clean / name).unlink()
    (clean / "validation/shoe/4 turned.png").unlink()
    result = audit(str(clean), **options)
    assert result.pairs == ()
    assert not (tmp_path / "out" / "duplicates.png").exists()
    assert len((tmp_path / "out" / "duplicates.csv").read_text().splitlines()) == 1
    assert "the pairs to look at" not in str(result)


def test_a_folder_without_parts_is_looked_at_whole(shop, tmp_path):
    for kind in ("hat", "shoe"):
        shutil.copytree(shop / "train" / kind, tmp_path / "flat" / kind)
    result = atelier.audit(
        str(tmp_path / "flat"), overrides=["photos.image_size=32"], progress=False
    )
    assert result.counts == {"train": 10}
    assert [pair.kind for pair in result.pairs] == ["exact", "near"]


def test_arrays_are_named_by_part_and_place(monkeypatch):
    sample = atelier.load_dataset("fashion-mnist-sample")
    train, test = sample.train, sample.test
    images = test.images.copy()
    images[7] = train.images[30]
    leaky = Dataset("leaky", train, ImageSplit(images, test.labels, test.ids), sample.classes, "f")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: leaky)
    (pair,) = audit("leaky", progress=False).pairs
    assert (pair.file_a, pair.file_b) == (
        f"train/{train.ids[30]}",
        f"test/{test.ids[7]}",
    )
    assert (pair.kind, pair.distance) == ("exact", 0)


def test_a_run_finds_look_alikes_and_repeats_no_copy(finished_run):
    start = time.process_time()
    result = audit("fashion-mnist-sample", run=finished_run.path, progress=False)
    assert time.process_time() - start < 10
    places = [(pair.first, pair.second) for pair in result.pairs]
    assert len(places) == len(set(places))
    assert places  # a narrow network takes some for the same
    assert all(pair.kind == "look-alike" for pair in result.pairs)
    assert all(0 <= pair.distance <= 2 for pair in result.pairs)
    labels = [pair.contradicts for pair in result.pairs]
    assert labels == sorted(labels, reverse=True)


def test_a_run_of_other_images_is_refused(shop, finished_run):
    with pytest.raises(RunError, match="another shape"):
        audit(str(shop), run=finished_run, progress=False)


def test_what_cannot_be_audited_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="only reads photos"):
        audit("fashion-mnist-sample", overrides=["train.lr=1"], progress=False)
    with pytest.raises(DataError):
        audit(str(tmp_path / "nowhere"), progress=False)
