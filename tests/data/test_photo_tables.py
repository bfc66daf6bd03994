"""Tables of photos: every sane form is read, and nothing in one is misread."""

import csv
import io
import sys
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atelier.config import Columns
from atelier.data.photo_tables import list_table
from atelier.errors import DataError

GOOD = "image,label\na.png,hat\nb.png,sock\n"


def table(folder, text, name="photos.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def pairs(path, columns=None):
    photos = list_table(path, columns or Columns()).photos
    return [(photo.name, photo.label) for photo in photos]


def refused(path, columns=None):
    with pytest.raises(DataError) as caught:
        list_table(path, columns or Columns())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_any_sane_form_says_the_same(tmp_path, delimiter, encoding, newline):
    rows = [["image", "label"], ["a b.png", "T-shirt, |;\t white"], ['c"d.png', "Söckchen"]]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows(rows)
    path = table(tmp_path, text.getvalue() + newline, encoding=encoding)
    assert sorted(pairs(path)) == sorted(map(tuple, rows[1:]))


def test_all_columns(tmp_path):
    path = table(
        tmp_path,
        "weight,split,group,label,image,price\n"
        "1,train,x,hat,a.png,9\n0.5, Train ,x,sock,b.png,9\n2e0,VAL,,hat,c.png,9\n",
    )
    photos = list_table(path, Columns()).photos
    assert [(p.name, p.part, p.group, p.weight) for p in photos] == [
        ("a.png", "train", "x", 1.0),
        ("b.png", "train", "x", 0.5),
        ("c.png", "validation", None, 2.0),
    ]


def test_columns_have_the_names_that_they_are_given(tmp_path):
    path = table(tmp_path, "Foto,Kategorie,label\na.png,hat,1\nb.png,sock,2\n")
    columns = Columns(image="Foto", label="Kategorie")
    assert pairs(path, columns) == [("a.png", "hat"), ("b.png", "sock")]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (Columns(image="imagge"), "no column 'imagge'; got 'image, label'. Did you mean 'image'?"),
        (Columns(label="labels"), "Name it with --set photos.columns.label=NAME"),
        (Columns(group="product"), "no column 'product'"),
    ],
)
def test_a_column_that_is_not_there(tmp_path, columns, words):
    assert words in refused(table(tmp_path, GOOD), columns)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("image,label\n", "has no rows"),
        ("image,image\na,b\n", "two columns 'image'"),
        (GOOD + "c.png,\n", "an empty label in row 4"),
        (GOOD + "\n\n ,hat\n,sock\n", "an empty path in rows 6, 7"),
        (GOOD + "c.png\n", "another number of cells than its header, which has 2, in row 4"),
        (GOOD + "c.png,hat,9\n", "in row 4"),
        (GOOD + 'c.png,"hat\n', "is broken in row 4"),
        (GOOD + "c\0.png,hat\n", "a path with a null character in row 4"),
        (GOOD + "c.png,Hat\n", "differ only by case or spaces: 'hat' (row 2) and 'Hat' (row 4)"),
        (GOOD + "c.png,hat \n", "'hat' (row 2) and 'hat ' (row 4)"),
        (GOOD + "./a.png,sock\n", "different labels of a.png in rows 2, 4"),
        ("image,label\na.png,hat\n", "one class alone"),
        ("image,label,split\na,x,train\nb,y,train\nc,x,dev\n", "unknown part 'dev' in row 4"),
        ("image,label,split\na,x,train\nb,y,\n", "unknown part '' in row 3"),
        ("image,label,split\na,x,test\nb,y,test\n", "no photos to train on"),
        ("image,label,split\na,x,train\nb,y,train\na,x,test\n", "different parts of a in rows"),
        ("image,label,split\na,x,train\nb,z,train\nc,y,test\n", "the class 'y' is in the test"),
        ("image,label,weight\na,x,1\nb,y,-1\n", "not a number of 0 or more in row 3"),
        ("image,label,weight\na,x,\nb,y,nan\nc,x,many\n", "in rows 2, 3, 4"),
        ("image,label,weight\na,x,inf\nb,y,1\n", "in row 2"),
        ("image,label,weight\na,x,0\nb,y,0\n", "are 0"),
    ],
)
def test_what_cannot_be_understood_is_named_by_its_row(tmp_path, text, words):
    assert words in refused(table(tmp_path, text))


def test_many_bad_rows_are_counted(tmp_path):
    text = "image,label\n" + "".join(f"{row}.png,\n" for row in range(100))
    assert "in rows 2, 3, 4, 5, 6 and 95 more" in refused(table(tmp_path, text))


def test_text_that_is_not_unicode(tmp_path):
    path = table(tmp_path, GOOD + "c.png,Mütze\n", encoding="latin-1")
    assert "not Unicode text in row 4. Save it as UTF-8" in refused(path)


def test_a_row_that_is_there_twice_counts_once(tmp_path):
    source = list_table(table(tmp_path, GOOD + "a.png,hat\n"), Columns())
    assert len(source.photos) == 2
    assert source.notes == ["1 rows that name a photo again left out"]


def test_paths_are_relative_to_the_table_and_found_in_any_spelling(tmp_path):
    folder = tmp_path / "Bilder"
    folder.mkdir()
    for name in ("Mütze.png", "b.png"):
        (folder / unicodedata.normalize("NFD", name)).touch()
    (tmp_path / "c.png").touch()
    path = table(
        folder, f"image,label\nMütze.png,hat\n{folder}/b.png,sock\n../c.png,hat\nd.png,hat\n"
    )
    photos = {photo.name: photo.path for photo in list_table(path, Columns()).photos}
    assert sorted(photos) == sorted(
        [unicodedata.normalize("NFD", "Mütze.png"), "b.png", "../c.png", "d.png"]
    )
    assert photos["../c.png"] == str(tmp_path / "c.png")


@pytest.mark.skipif(sys.platform == "win32", reason="a backslash is a separator there")
def test_a_table_that_was_written_on_windows(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").touch()
    assert pairs(table(tmp_path, "image,label\nin\\a.png,hat\nb.png,sock\n")) == [
        ("in/a.png", "hat"),
        ("b.png", "sock"),
    ]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
            st.sampled_from(["hat", "sock", "T-shirt; blue", 'the "boot"', "Mütze"]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(",;\t|"),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_written_is_read_or_refused(tmp_path, rows, delimiter):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([("image", "label"), *rows])
    try:
        photos = list_table(table(tmp_path, text.getvalue()), Columns()).photos
    except DataError as error:
        assert "\n" not in str(error)
        return
    assert sorted({photo.label for photo in photos}) == sorted({label for _, label in rows})
    assert len(photos) <= len(rows)


@given(st.one_of(st.binary(max_size=200), st.text(alphabet='image,label"\n;\t x').map(str.encode)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_give_anything_but_photos_or_one_line(tmp_path, data):
    for name in ("photos.csv", "photos.parquet"):
        try:
            assert list_table(table(tmp_path, data, name), Columns()).photos
        except DataError as error:
            assert "\n" not in str(error)


# Parquet.


def test_a_parquet_table_says_the_same(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    columns = {
        "image": ["a.png", "b.png", "c.png"],
        "label": pyarrow.array(["hat", "sock", "hat"]).dictionary_encode(),
        "split": ["train", "train", "test"],
        "weight": [1.0, 2.0, 3.0],
        "group": [7, 7, None],
        "vector": [[1], [2], [3]],
    }
    path = tmp_path / "photos.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    photos = list_table(path, Columns()).photos
    assert [(p.name, p.label, p.part, p.group, p.weight) for p in photos] == [
        ("a.png", "hat", "train", "7", 1.0),
        ("b.png", "sock", "train", "7", 2.0),
        ("c.png", "hat", "test", None, 3.0),
    ]
    assert "no column 'vector'" in refused(path, Columns(label="vector"))


@pytest.mark.parametrize("empty", [None, float("nan")])
def test_a_missing_value_in_parquet_is_empty(tmp_path, empty):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "photos.parquet"
    columns = {"image": ["a.png", "b.png"], "label": [1.0, empty]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    assert "an empty label in row 2" in refused(path)


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "atelier[parquet]" in refused(table(tmp_path, b"PAR1", "photos.parquet"))
