"""Data sets made of others, by name."""

import json

import numpy as np
import pytest

from atelier import load_dataset
from atelier.data.derived import parted, source_of
from atelier.data.domains import to_domain
from atelier.errors import DataError

SAMPLE = "fashion-mnist-sample"


def test_a_domain_keeps_ids_and_labels_and_has_a_fingerprint_of_its_own():
    source, found = load_dataset(SAMPLE), load_dataset(f"{SAMPLE}:textured")
    assert found.name == f"{SAMPLE}:textured"
    assert found.classes == source.classes
    assert found.fingerprint != source.fingerprint
    for part, own, theirs in (
        ("train", found.train, source.train),
        ("test", found.test, source.test),
    ):
        assert (own.labels == theirs.labels).all()
        assert (own.ids == theirs.ids).all()
        expected = to_domain(theirs.images, "textured", ids=theirs.ids, part=part)
        assert (own.images == expected).all()


def test_it_is_made_once_and_mended_when_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path))
    first = load_dataset(f"{SAMPLE}:mirrored")
    (kept,) = (tmp_path / "domains").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr("atelier.data.domains.to_domain", None)  # not called again
        assert load_dataset(f"{SAMPLE}:mirrored").fingerprint == first.fingerprint
    (kept / "test.npy").write_bytes(b"damaged")
    assert load_dataset(f"{SAMPLE}:mirrored").fingerprint == first.fingerprint


def test_views_follow_one_another():
    twice = load_dataset(f"{SAMPLE}:mirrored:mirrored")
    assert (twice.train.images == load_dataset(SAMPLE).train.images).all()
    assert source_of(f"{SAMPLE}:mirrored:mirrored") == SAMPLE


def test_shared_classes_leave_out_bags_and_put_shoes_together():
    source, found = load_dataset(SAMPLE), load_dataset(f"{SAMPLE}:shared")
    *clothes, shoe = found.classes
    assert clothes == ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Shirt"]
    assert shoe == "Shoe"
    names = [source.classes[k] for k in source.train.labels if source.classes[k] != "Bag"]
    expected = [n if n in clothes else "Shoe" for n in names]
    assert [found.classes[k] for k in found.train.labels] == expected


@pytest.fixture
def class_map(tmp_path):
    path = tmp_path / "classes.json"
    names = {"Trouser": "long", "schuhe": "short", "靴下": "long", "Sandal": "short"}
    path.write_text(json.dumps(names), encoding="utf-8")
    return path


def test_photos_behind_a_map_are_gray_light_on_dark_and_of_28_pixels(photo_folder, class_map):
    found = load_dataset(f"{photo_folder}:{class_map}")
    assert found.classes == ("long", "short") == load_dataset(f"{SAMPLE}:{class_map}").classes
    assert found.train.images.shape == (24, 1, 28, 28)
    assert np.bincount(found.train.labels).tolist() == [12, 12]
    assert len(found.validation) == 24
    edges = found.train.images[:, 0, 0]
    assert (np.median(edges, axis=1) <= 127).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no map of classes"),
        ('{"Trouser": 1}', "is no map of classes"),
        ('{"Trouser": "a"}', "two classes or more"),
        ('{"Rock": "a", "Hose": "b"}', "names none of the classes"),
    ],
)
def test_a_map_that_does_not_fit_is_refused(tmp_path, text, problem):
    path = tmp_path / "map.json"
    path.write_text(text)
    with pytest.raises(DataError, match=problem):
        load_dataset(f"{SAMPLE}:{path}")


def test_an_unknown_view_and_an_unknown_source_are_named():
    with pytest.raises(DataError, match=r"got 'invertd'.*Did you mean 'inverted'\?"):
        load_dataset(f"{SAMPLE}:invertd")
    with pytest.raises(DataError, match="there is no data set, folder or table 'nowhere'"):
        load_dataset("nowhere:inverted")


def test_paths_with_a_colon_are_paths(tmp_path):
    (tmp_path / "a:inverted").mkdir()
    assert parted(tmp_path / "a:inverted") is None
    assert parted("C:/photos") is None
    assert parted("fashion-mnist") is None
