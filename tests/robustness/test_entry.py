"""`atelier robustness`, from a run to what is kept and shown."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

import atelier
from atelier.errors import ConfigError, RunError, StorageError
from atelier.robustness import load_robustness, reference
from atelier.robustness.pictures import robustness_pictures
from atelier.robustness.result import MirroredClass
from atelier.robustness.words import mirror_sentence

QUICK = {
    "corruptions": ["noise", "mirror"],
    "images": 60,
    "attack_images": 20,
    "radii": (8, 2),
    "progress": False,
}


@pytest.fixture(scope="module")
def found(finished_run):
    return atelier.robustness(finished_run, keep=False, **QUICK)


def test_the_numbers_are_those_of_the_run(found, finished_run):
    (one,) = found.runs
    assert (one.n, one.total, one.part) == (60, 500, "test")
    whole = atelier.robustness(
        finished_run, corruptions=["mirror"], images=None, attacks=[], keep=False, progress=False
    ).runs[0]
    predictions = finished_run.predictions("test")
    assert (whole.n, whole.right) == (500, predictions.correct.sum())
    images = atelier.load_dataset("fashion-mnist-sample").test.images
    logits = atelier.Predictor.of_run(finished_run).logits(np.ascontiguousarray(images[..., ::-1]))
    right = logits.argmax(axis=1) == predictions.labels
    assert whole.corruptions[0].right == (right.sum(),)
    assert sum(one.mirrored for one in whole.mirrored) == right.sum()
    assert sum(one.upright for one in whole.mirrored) == whole.right
    assert whole.attacks == ()


def test_images_get_worse_and_attacks_get_harder(found):
    (one,) = found.runs
    noise, mirror = one.corruptions
    assert len(noise.right) == 5
    assert len(mirror.right) == 1
    assert noise.right[4] < one.right
    fgsm, pgd = one.attacks
    assert fgsm.radii == pgd.radii == (2, 8)
    assert one.attacked_right >= fgsm.right[0] >= pgd.right[0] >= pgd.right[1]
    assert one.mce is None
    assert "no reference" in str(found)


def test_the_text_says_what_was_judged_and_found(found):
    text = str(found)
    assert "judged by 60 of 500 test images of fashion-mnist-sample" in text
    for word in ("noise", "mirror", "fgsm", "pgd", "class Shirt", "corrected for", "20 images"):
        assert word in text
    assert "<table>" in found._repr_html_()
    json.dumps(found.to_dict())


def test_what_is_found_is_kept_and_read_again(own_run):
    assert load_robustness(own_run) is None
    result = atelier.robustness(own_run, **QUICK)
    kept = load_robustness(own_run)
    assert kept == result.runs[0]
    file = own_run.path / "robustness.json"
    values = json.loads(file.read_text())
    assert values["attacks"][1]["accuracies"][0] == kept.attacks[1].accuracies[0]
    for damage in ("{", json.dumps({**values, "n": "many"}), "[]"):
        file.write_text(damage)
        with pytest.raises(RunError, match="atelier robustness"):
            load_robustness(own_run)
    file.write_text(json.dumps({**values, "format_version": 0}))
    with pytest.raises(RunError, match="another version"):
        load_robustness(own_run)


def test_beside_another_run(found, own_run, finished_run, tmp_path):
    both = atelier.robustness([own_run, finished_run], against=own_run, keep=False, **QUICK)
    for one in both.runs:  # the same network
        assert one.mce.mce.value == one.mce.mce.low == one.mce.mce.high == 1
        assert one.mce.reference == "own on the same images"
        assert one.corruptions == found.runs[0].corruptions
    assert "mCE 1.00" in str(both)
    keys = [picture.key for picture in robustness_pictures(both)]
    assert keys[:2] == ["robustness-corruptions", "robustness-attacks"]
    assert "robustness-groups-1" in keys
    assert "robustness-groups-2" in keys


def test_the_kept_errors_of_cnn_count_for_their_data_alone(monkeypatch, tmp_path, finished_run):
    kept = {
        "corruptions_version": reference.VERSION,
        "data_fingerprint": finished_run.environment["data_fingerprint"],
        "seed": 0,
        "n": 500,
        "clean_error": 0.1,
        "errors": {"noise": [0.2] * 5, "mirror": [0.3]},
    }
    (tmp_path / reference.FILE).write_text(json.dumps(kept))
    monkeypatch.setattr(reference, "resources", SimpleNamespace(files=lambda _package: tmp_path))
    one = atelier.robustness(finished_run, keep=False, **QUICK).runs[0]
    assert one.mce.by_corruption["mirror"] == pytest.approx((1 - one.corruptions[1].mean) / 0.3)
    assert "the recipe cnn, seed 0, on all 500 test images" in one.mce.reference
    assert reference.kept_reference("other", "test") is None
    assert reference.kept_reference(kept["data_fingerprint"], "validation") is None


def test_the_command_line(own_run, call, here):
    code, out, _ = call(
        "robustness", own_run.path, "--corruptions", "blur,jpeg", "--images", 30,
        "--attacks", "none", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert "judged by 30 of 500" in out
    assert str(own_run.path / "robustness.json") in out
    figures = {path.name for path in (own_run.path / "figures").iterdir()}
    assert figures == {f"robustness-{name}.png" for name in ("corruptions", "groups", "examples")}
    code, out, _ = call(
        "robustness", own_run.path, "--corruptions", "none", "--images", 30,
        "--radii", "4", "--attacks", "fgsm", "--attack-images", 10, "--json", "--quiet",
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["runs"][0]["attacks"][0]["radii"] == [4]


def test_photos_are_judged_too(photo_run, monkeypatch, tmp_path, photo_folder):
    run = shutil.copytree(photo_run.path, tmp_path / "photos")
    result = atelier.robustness(
        run, corruptions=["jpeg", "scale"], attack_images=4, out=tmp_path / "out", progress=False
    )
    (one,) = result.runs
    assert one.part == "validation"
    assert any("validation images stand in" in note for note in one.notes)
    assert (tmp_path / "out" / "robustness-examples.jpg").stat().st_size > 0
    with pytest.raises(StorageError, match="exists already"):
        atelier.robustness(run, out=tmp_path / "out", progress=False)


def test_the_values_of_a_column_are_subgroups(train_on_photos, draw_photos, tmp_path, call, here):
    folder = draw_photos(tmp_path / "photos", classes=("hat", "shoe"), each=20)
    rows = ["image,label,split,shop"]
    for k, path in enumerate(sorted(folder.rglob("*.png"))):
        part = "train" if k % 4 else "validation"
        rows.append(
            f"{path.relative_to(folder)},{path.parent.name},{part},{'north' if k % 8 else ''}"
        )
    table = folder / "photos.csv"
    table.write_text("\n".join(rows))
    run = train_on_photos(tmp_path / "run", table)
    words = ("robustness", run.path, "--corruptions", "none", "--attacks", "none", "-q", "--json")
    code, out, _ = call(*words, "--by", "shop")
    assert code == 0
    groups = json.loads(out)["runs"][0]["groups"]
    assert [(g["name"], g["n"]) for g in groups if g["kind"] == "shop"] == [
        ("(none)", 5),
        ("north", 5),
    ]
    code, _, err = call(*words, "--by", "shoop")
    assert code == 2
    assert "Did you mean 'shop'" in err


def test_bad_input_is_told_in_a_line(refused, finished_run, photo_run):
    run = finished_run.path
    assert "Did you mean 'blur'" in refused("robustness", run, "--corruptions", "blurr", "-q")
    assert "Did you mean 'pgd'" in refused("robustness", run, "--attacks", "pdg", "-q")
    assert "whole numbers" in refused("robustness", run, "--radii", "1;2", "-q")
    assert "1 to 255" in refused("robustness", run, "--radii", "0,2", "-q")
    assert "no run folder" in refused("robustness", "nothing", "-q")
    assert "no column" in refused("robustness", run, "--by", "shop", "-q")
    said = refused("robustness", run, "--against", photo_run.path, "-q")
    assert "other images" in said


def test_no_run_and_no_images_are_refused(finished_run):
    with pytest.raises(ConfigError, match="no run"):
        atelier.robustness([])
    with pytest.raises(ConfigError, match="images is a number of images; got 0"):
        atelier.robustness(finished_run, images=0)


def test_what_a_mirror_does_is_said_in_words():
    boot = MirroredClass("Ankle boot", 100, 96, 40, 0.001)
    bag = MirroredClass("Bag", 100, 97, 95, 1.0)
    assert "Ankle boot 96.0 % to 40.0 %" in mirror_sentence([boot, bag])
    assert "Bag" not in mirror_sentence([boot, bag])
    assert "beyond chance" in mirror_sentence([bag])
    assert mirror_sentence([]) == ""
