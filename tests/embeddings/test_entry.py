"""The verb: what it writes, what it keeps, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

import atelier
from atelier.data import load_dataset
from atelier.embeddings import load_embeddings, quick_maps
from atelier.errors import RunError


def test_the_maps_are_of_the_judged_images(mapped, maps):
    test = load_dataset("fashion-mnist-sample").test
    places = {int(image): place for place, image in enumerate(test.ids)}
    assert len(maps.ids) == 200
    assert [test.labels[places[image]] for image in maps.ids.tolist()] == maps.labels.tolist()
    kept = mapped.predictions("test")
    at = {int(image): place for place, image in enumerate(kept.ids)}
    rows = [at[image] for image in maps.ids.tolist()]
    assert np.array_equal(maps.predicted, kept.predicted[rows])
    assert 0 < maps.wrong.sum() < 200
    assert "200 of 500 test images" in str(maps)
    assert "PCA" in str(maps)


def test_what_is_kept_is_read_again(mapped, maps):
    again = load_embeddings(mapped)
    assert again.to_dict() == maps.to_dict()
    assert np.allclose(again.layouts[0].points, maps.layouts[0].points, atol=1e-4)
    assert np.array_equal(again.neighbors, maps.neighbors)
    names = sorted(path.name for path in (mapped.path / "figures").iterdir())
    assert {"embedding_map.html", "embedding_map_pca.png"} <= set(names)


def test_a_run_without_maps_has_none(finished_run):
    assert load_embeddings(finished_run) is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda kept: kept | {"format_version": 0}, "another version"),
        (lambda kept: kept | {"weights": "0"}, "other weights"),
        (lambda kept: kept | {"ids": [1]}, "damaged"),
        (lambda kept: kept | {"labels": [99] * 200}, "damaged"),
        (lambda kept: kept | {"layouts": [{"method": "pca"}]}, "damaged"),
        (lambda _: [], "not a JSON object"),
    ],
    ids=["version", "weights", "lengths", "labels", "layout", "list"],
)
def test_maps_that_do_not_belong_to_the_run_are_refused(mapped, maps, tmp_path, damage, said):
    run = atelier.load_run(shutil.copytree(mapped.path, tmp_path / "run"))
    path = run.path / "embeddings.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(RunError, match=said) as error:
        load_embeddings(run)
    assert "atelier embeddings" in str(error.value)


def test_a_quick_map_writes_nothing(finished_run):
    before = sorted(finished_run.path.rglob("*"))
    maps = quick_maps(finished_run, load_dataset("fashion-mnist-sample"), images=100)
    assert [layout.method for layout in maps.layouts] == ["pca"]
    assert len(maps.ids) == 100
    assert sorted(finished_run.path.rglob("*")) == before


def test_a_network_that_sees_no_difference_is_told_apart_from_a_map(own_run):
    from safetensors.torch import load_file, save_file

    path = own_run.path / "model.safetensors"
    save_file({name: value * 0 for name, value in load_file(path).items()}, path)
    with pytest.raises(RunError, match="maps all images to the same point"):
        atelier.embeddings(own_run, method="pca", progress=False)


def test_the_command_prints_what_the_function_finds(own_run, call, tmp_path):
    out = tmp_path / "maps"
    words = ("embeddings", own_run.path, "--method", "tsne", "--images", "60", "--out", out)
    code, said, _ = call(*words, "--quiet", "--json")
    assert code == 0
    told = json.loads(said)
    assert [layout["method"] for layout in told["layouts"]] == ["tsne"]
    assert told["shown"] == 60
    assert sorted(map(str, out.iterdir())) == sorted(told["files"])
    code, _, error = call(*words)
    assert code == 2
    assert "--overwrite" in error
    code, said, _ = call(*words, "--quiet", "--overwrite")
    assert code == 0
    assert "t-SNE" in said


def test_bad_input_is_refused(own_run, refused):
    assert "10 to 10,000" in refused("embeddings", own_run.path, "--images", "3")
    assert "lda" in refused("embeddings", own_run.path, "--method", "lda")
    assert "no run folder" in refused("embeddings", own_run.path / "none")
