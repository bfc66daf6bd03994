"""A run judged by labeled images that it was not trained for."""

import unicodedata

import pytest

from atelier import evaluate
from atelier.errors import ConfigError, DataError
from tests.conftest import PHOTO_CLASSES, contents


def test_its_own_validation_folder_gives_what_evaluate_gives(photo_run, photo_folder):
    before = contents(photo_run.path)
    own = evaluate(photo_run)
    elsewhere = evaluate(photo_run, data=photo_folder / "validation")
    assert elsewhere.n == own.n == 36
    assert (elsewhere.confusion == own.confusion).all()
    assert elsewhere.nll == pytest.approx(own.nll, rel=1e-5)
    assert "on 36 images of validation (95 %" in str(elsewhere)
    assert elsewhere.note == ""
    assert not elsewhere.calibrated.cross_fitted
    assert contents(photo_run.path) == before


def test_all_parts_count_and_the_training_s_own_are_told(photo_run, photo_folder):
    result = evaluate(photo_run, data=photo_folder)
    assert result.n == 72
    assert "trained on some of these images" in str(result)


def test_one_class_in_any_part_and_in_any_form_of_unicode(photo_run, draw_photos, tmp_path):
    first = PHOTO_CLASSES[0]
    written = unicodedata.normalize("NFD", first)
    assert written != first
    draw_photos(tmp_path / "shop", ("test",), classes=(first,), each=3)
    (tmp_path / "shop" / "test" / first).rename(tmp_path / "shop" / "test" / written)
    result = evaluate(photo_run, data=tmp_path / "shop")
    assert result.n == 3
    assert result.confusion.sum(axis=1).tolist() == [3, 0, 0]


def test_a_table_is_read_relative_to_itself(photo_run, photo_folder):
    home = photo_folder / "validation"
    paths = sorted(home.glob(f"{PHOTO_CLASSES[1]}/*.png"))[:2]
    table = home.parent.parent / "some.csv"
    rows = [f"{path.relative_to(table.parent).as_posix()},{PHOTO_CLASSES[1]}" for path in paths]
    table.write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    assert evaluate(photo_run, data=str(table)).n == 2


def test_a_class_that_the_run_does_not_know_is_refused(photo_run, draw_photos, tmp_path):
    folder = draw_photos(tmp_path / "shop", classes=(PHOTO_CLASSES[0], "schuh"), each=1)
    with pytest.raises(DataError, match=r"does not know: 'schuh'. Did you mean 'schuhe'\?"):
        evaluate(photo_run, data=folder)


def test_bad_photos_stop_it_or_are_told(photo_run, draw_photos, tmp_path):
    folder = draw_photos(tmp_path / "shop", each=2)
    (folder / PHOTO_CLASSES[1] / "bad.jpg").write_bytes(b"no photo")
    with pytest.raises(DataError, match=r"1 of 7 photos cannot be read: .*bad\.jpg"):
        evaluate(photo_run, data=folder)
    result = evaluate(photo_run, data=folder, skip_bad=True)
    assert result.n == 6
    assert "1 of 7 photos cannot be read" in result.note
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no photo")
    with pytest.raises(DataError, match="7 of 7 photos cannot be read"):
        evaluate(photo_run, data=folder, skip_bad=True)


def test_a_data_set_of_arrays(finished_run, photo_run):
    result = evaluate(finished_run, data="fashion-mnist-sample")
    assert result.n == 1500
    assert "trained on some of these images" in str(result)
    with pytest.raises(DataError, match="another shape than the run reads; got '1 x 28 x 28'"):
        evaluate(photo_run, data="fashion-mnist-sample")


def test_a_run_on_gray_images_reads_photos_its_own_way(finished_run, draw_photos, tmp_path):
    folder = draw_photos(tmp_path / "shop", classes=("Trouser", "Bag"), each=2)
    assert evaluate(finished_run, data=folder).n == 4


def test_other_data_have_no_split(photo_run, photo_folder):
    with pytest.raises(ConfigError, match="Leave out the split"):
        evaluate(photo_run, data=photo_folder, split="validation")


def test_what_is_nowhere_is_one_line(photo_run, tmp_path):
    with pytest.raises(DataError, match="no data set, folder or table"):
        evaluate(photo_run, data=tmp_path / "none")
