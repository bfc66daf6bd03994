"""What the verbs print of photos: predictions in three forms, and what a run is judged by."""

import csv
import json

import pytest


@pytest.fixture
def photos(photo_folder):
    """A folder of twelve photos."""
    return photo_folder / "validation" / "schuhe"


def test_a_table_has_a_row_for_each_file(call, photo_run, photos, tmp_path):
    out = tmp_path / "tables" / "out.csv"
    code, said, err = call("predict", photo_run.path, photos, "--csv", out, "--unknown-below", 0.6)
    assert (code, said, err) == (0, f"table: {out}\n", "")
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(path) for path in sorted(photos.iterdir())]
    for row in rows:
        shares = {name: float(row[f"P({name})"]) for name in photo_run.classes}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == max(shares, key=shares.get)
        assert float(row["probability"]) == max(shares.values())
        assert row["unknown"] == ("yes" if float(row["probability"]) < 0.6 else "no")


def test_a_table_that_stands_there_is_kept(call, photo_run, photos, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("mine")
    code, _, err = call("predict", photo_run.path, photos, "--csv", out)
    assert code == 2
    assert "choose another path with --csv" in err
    assert out.read_text() == "mine"
    assert call("predict", photo_run.path, photos, "--csv", out, "--overwrite")[0] == 0
    assert out.read_text(encoding="utf-8").startswith("file,predicted,unknown,probability,")


def test_an_unknown_image_is_said_to_be(call, photo_run, photos):
    code, out, _ = call("predict", photo_run.path, photos, "--unknown-below", 1)
    assert code == 0
    assert all(": unknown, at best " in line for line in out.splitlines())
    _, out, _ = call("predict", photo_run.path, photos, "--unknown-below", 1, "--json")
    rows = json.loads(out)
    assert len(rows) == 12
    assert all(row["unknown"] and row["class"] in photo_run.classes for row in rows)


def test_a_stated_error_tells_its_threshold(call, photo_run, photos):
    code, out, err = call("predict", photo_run.path, photos, "--max-error", 0.5)
    assert code == 0
    assert len(out.splitlines()) == 12
    assert "of 36 validation images" in err
    assert "with 95% confidence at most 0.5 of the answers" in err
    code, out, err = call("predict", photo_run.path, photos, "--max-error", 0.001)
    assert (code, out) == (2, "")
    assert "no threshold keeps the error among answers at 0.001" in err


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv", "out.csv"]])
def test_bad_files_are_told_at_the_end_and_the_good_are_kept(
    call, photo_run, photos, here, tmp_path, form
):
    for name in ("first.jpg", "second.jpg"):
        (tmp_path / name).write_bytes(b"no photo")
    words = ["predict", photo_run.path, tmp_path / "first.jpg", photos, tmp_path / "second.jpg"]
    for extra, expected in (([], 2), (["--skip-bad", "--overwrite"], 0)):
        code, out, err = call(*words, *form, *extra)
        assert code == expected
        lines = err.splitlines()
        assert [line.partition("first.jpg")[1] for line in lines[:1]] == ["first.jpg"]
        assert "second.jpg" in lines[1]
        if expected:
            assert lines[2].startswith("error: 2 of 14 files could not be read")
        if "--json" in form:
            assert len(json.loads(out)) == 12
        elif form:
            assert len((here / "out.csv").read_text(encoding="utf-8").splitlines()) == 13
        else:
            assert len(out.splitlines()) == 12


@pytest.mark.parametrize(
    "words",
    [["--max-error", "0.1", "--unknown-below", "0.5"], ["--csv", "x.csv", "--json"]],
)
def test_options_that_exclude_each_other(call, photo_run, photos, here, words):
    code, out, err = call("predict", photo_run.path, photos, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_nothing_but_bad_files_is_an_empty_list(call, photo_run, tmp_path):
    code, out, _ = call("predict", photo_run.path, tmp_path / "none.png", "--json")
    assert code == 2
    assert json.loads(out) == []


# What a run is judged by.


def test_every_output_says_that_there_is_no_test_part(
    call, photo_run, photo_folder, train_on_photos, tmp_path
):
    words = "this data set has no test part"
    code, out, _ = call("evaluate", photo_run.path)
    assert code == 0
    assert "on 36 validation images (95 %" in out
    assert words in out
    other = train_on_photos(tmp_path / "other", photo_folder, "model.width=8")
    code, out, _ = call("compare", photo_run.path, other.path, "-q")
    assert code == 0
    assert words in out.lower()
    assert "36 validation images" in out
    report = tmp_path / "report.html"
    assert call("report", photo_run.path, other.path, "--out", report)[0] == 0
    page = report.read_text("utf-8")
    assert words in page
    assert "data:image/jpeg;base64," in page
    assert "validation/schuhe/Foto" in page or "validation/靴下/Foto" in page
    assert len(page) < 8_000_000
    assert (other.path / "figures" / "worst_errors.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    code, _, err = call("evaluate", photo_run.path, "--split", "test")
    assert code == 2
    assert "has no test part. Use --split validation" in err


def test_a_folder_without_parts_is_judged_by_the_test_part_cut_from_it(
    call, draw_photos, train_on_photos, tmp_path
):
    folder = draw_photos(tmp_path / "flat", each=12)
    run = train_on_photos(tmp_path / "run", folder, "train.num_epochs=1")
    code, out, _ = call("evaluate", run.path)
    assert code == 0
    assert "test images" in out
    assert "no test part" not in out


def test_evaluate_other_data(call, photo_run, photo_folder):
    code, out, _ = call("evaluate", photo_run.path, "--data", photo_folder / "train", "-q")
    assert code == 0
    assert "on 36 images of train" in out


def test_photos_that_have_changed_are_refused(call, draw_photos, train_on_photos, tmp_path):
    folder = draw_photos(tmp_path / "shop", ("train", "validation"))
    run = train_on_photos(tmp_path / "run", folder, "train.num_epochs=1")
    for part in ("train", "validation"):
        (folder / part / "schuhe").rename(folder / part / "zuletzt")
    code, _, err = call("evaluate", run.path, "--refresh")
    assert code == 2
    assert "the run knows 'schuhe' and the data now have 'zuletzt'" in err
