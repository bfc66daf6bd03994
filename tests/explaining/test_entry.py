"""`atelier explain` as users call it."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.data import load_dataset
from atelier.explaining import explained_examples, load_checks
from atelier.explaining.neighbors import learned_images


def test_errors_are_explained_the_surest_first(own_run):
    found = atelier.explain(own_run, errors=3, methods=["occlusion"])
    predictions = own_run.predictions("test")
    wrong = np.flatnonzero(~predictions.correct)
    surest = wrong[np.argsort(-predictions.probs.max(axis=1)[wrong], kind="stable")][:3]
    assert [item.name for item in found.items] == [f"test {predictions.ids[k]}" for k in surest]
    for item, row in zip(found.items, surest, strict=True):
        assert item.predicted == own_run.classes[predictions.predicted[row]]
        assert item.true == own_run.classes[predictions.labels[row]] != item.predicted
        assert sum(item.probs.values()) == pytest.approx(1)
        assert [m.method for m in item.maps] == ["occlusion"]
        assert len(item.neighbors) == 4
        assert f"but is {item.true}" in str(item)


def test_a_training_image_is_its_own_nearest_neighbor(own_run, tmp_path):
    dataset = load_dataset(own_run.recipe.data)
    learned = learned_images(own_run, dataset)
    path = tmp_path / "copy.png"
    Image.fromarray(learned.images[5, 0]).save(path)
    for _ in range(2):  # the second time by what the first has kept
        (item,) = atelier.explain(own_run, [path], invert="no", flips=False).items
        first = item.neighbors[0]
        assert first.id == learned.ids[5]
        assert first.distance == pytest.approx(0, abs=1e-3)
        assert (first.pixels == learned.images[5]).all()
        distances = [n.distance for n in item.neighbors]
        assert distances == sorted(distances)
        assert item.true is None
    kept = own_run.path / "embeddings" / "train.npy"
    assert kept.is_file()
    kept.write_bytes(b"damaged")
    (item,) = atelier.explain(own_run, [path], invert="no", flips=False).items
    assert item.neighbors[0].id == learned.ids[5]


def test_images_that_were_held_out_are_no_neighbors(own_run):
    dataset = load_dataset(own_run.recipe.data)
    held_out = set(own_run.predictions("validation").ids.tolist())
    assert held_out
    assert not held_out & set(learned_images(own_run, dataset).ids.tolist())


def test_a_class_against_another(own_run):
    found = atelier.explain(
        own_run,
        ids=own_run.predictions("test").ids[:2],
        target="Coat",
        against="Shirt",
        neighbors=0,
    )
    for item in found.items:
        assert (item.explained, item.against) == ("Coat", "Shirt")
        assert "explained: Coat against Shirt" in str(item)
        for flip in (item.cover, item.change):
            assert flip is None or flip.became == "Shirt"
    assert found.refused["rollout"] == "the network has no attention"


def test_examples_for_a_report(own_run):
    dataset = load_dataset(own_run.recipe.data)
    found = explained_examples(own_run, dataset, 2)
    assert len(found.items) == 2
    assert not found.items[0].neighbors
    (picture,) = found.pictures()
    assert picture.alt.startswith("test ")
    assert picture.data.startswith(b"\x89PNG")


def test_the_command_writes_a_picture_into_the_run(call, own_run):
    first, second = own_run.predictions("test").ids[:2]
    code, out, err = call("explain", own_run.path, "--ids", f"{first},{second}", "--quiet")
    assert (code, err) == (0, "")
    path = own_run.path / "figures" / "explanations.png"
    assert f"picture: {path}" in out
    assert f"test {first}: " in out
    assert "no grad-cam: the network keeps no map of places" in out
    with Image.open(path) as picture:
        assert picture.width > 800


def test_the_command_says_what_the_maps_are_worth(call, own_run):
    options = ("--methods", "smoothgrad", "--neighbors", 0, "--no-flips", "--quiet")
    code, out, _ = call("explain", own_run.path, "--errors", 1, "--check", *options)
    assert code == 0
    assert "Do the maps hang on the weights?" in out
    assert re.search(r"smoothgrad +deletion ", out)
    assert load_checks(own_run).images == 32


def test_photos_with_long_names_into_a_folder(call, photo_run, photo_folder, tmp_path):
    photos = sorted((photo_folder / "validation" / "schuhe").iterdir())[:2]
    out = tmp_path / "why"
    words = ("--out", out, "--json", "--quiet", "--neighbors", 0)
    code, said, err = call("explain", photo_run.path, *photos, *words)
    assert (code, err) == (0, "")
    result = json.loads(said)
    assert [image["name"] for image in result["images"]] == list(map(str, photos))
    assert set(result["images"][0]["probs"]) == set(photo_run.classes)
    assert sorted(path.name for path in out.iterdir()) == [
        "explanations-1.jpg",
        "explanations-2.jpg",
        "explanations.json",
        "explanations.npz",
    ]
    with np.load(out / "explanations.npz", allow_pickle=False) as arrays:
        assert arrays["pixels"].shape == (2, 3, 32, 32)
        assert arrays["occlusion"].shape == (2, 32, 32)
    code, _, err = call("explain", photo_run.path, *photos, *words)
    assert code == 2
    assert "nothing was overwritten" in err


def test_a_picture_of_the_named_kind(call, own_run, tmp_path):
    out = tmp_path / "why.jpg"
    options = ("--methods", "occlusion", "--neighbors", 0, "--no-flips", "--quiet")
    assert call("explain", own_run.path, "--errors", 1, "--out", out, *options)[0] == 0
    assert out.read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--methods", "gradcam"), "Did you mean 'grad-cam'?"),
        (("--methods", "grad-cam"), "none of these methods applies to the network"),
        (("--class", "Trousers"), "Did you mean 'Trouser'?"),
        (("--class", "Coat", "--against", "Coat"), "explained against itself"),
        (("--ids", "3,x"), "give numbers with commas"),
        (("--ids", "999999"), "no test image has this id"),
        (("missing.png",), "missing.png"),
        (("--out", "why.pdf"), "allowed: .png, .jpg, .jpeg, or a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(refused, finished_run, words, said):
    assert said in refused("explain", finished_run.path, *words, "--quiet")
