"""Wrong labels are found by networks that have not learned from them, and can be put right."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import atelier
from atelier.auditing import audit
from atelier.auditing.crossvalidation import deal
from atelier.auditing.labels import class_overlaps, suspicion
from atelier.data import load_dataset
from atelier.errors import ConfigError, DataError, StorageError

QUICK = ("train.num_epochs=6", "model.width=64", "train.batch_size=32", "train.validation_share=0")
QUICK += ("train.keep=last", "train.warmup_epochs=1")
OPTIONS = {"labels": True, "recipe": "mlp", "folds": 2, "overrides": QUICK, "progress": False}


@pytest.fixture(scope="module")
def injected(tmp_path_factory):
    """The sample with 40 labels made wrong, and which they are."""
    sample = load_dataset("fashion-mnist-sample")
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "wrong.csv"
    chosen = rng.choice(len(sample.train), 40, replace=False).tolist()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["data", "image", "given", "suggested", "action"])
        for at in chosen:
            label = int(sample.train.labels[at])
            other = sample.classes[(label + int(rng.integers(1, 10))) % 10]
            name = f"train/{sample.train.ids[at]}"
            writer.writerow(["fashion-mnist-sample", name, sample.classes[label], "", other])
    return path, chosen


@pytest.fixture(scope="module")
def audited(injected, tmp_path_factory):
    """An audit of these data, and the folder that it has filled."""
    out = tmp_path_factory.mktemp("audit")
    return audit(injected[0], out=out, **OPTIONS), out


def test_most_wrong_labels_are_found_first(injected, audited):
    found = audited[0].labels
    wrong = set(injected[1])
    assert len(wrong & set(found.ranking[:40].tolist())) >= 20
    assert len(wrong & {suspect.position for suspect in found.suspects}) >= 30
    assert sorted(found.ranking.tolist()) == list(range(1500))
    assert [suspect.rank for suspect in found.suspects] == list(range(1, len(found.suspects) + 1))
    assert {suspect.part for suspect in found.suspects} == {"train", "test"}


def test_suspects_come_with_the_images_they_are_like(injected, audited):
    data = load_dataset(injected[0])
    for suspect in audited[0].labels.suspects:
        for label, place in (
            (suspect.given, suspect.nearest_given),
            (suspect.suggested, suspect.nearest_suggested),
        ):
            assert 0 <= place < len(data.train)
            assert place != suspect.position
            assert data.classes[data.train.labels[place]] == label


def test_it_is_said_in_words_in_json_and_on_a_page(audited):
    result, out = audited
    text = str(result)
    assert "labels likely wrong: " in text
    assert "the other way" in text
    told = json.loads(json.dumps(result.to_dict()))["labels"]
    assert len(told["suspects"]) == len(result.labels.suspects)
    assert set(told["agreement"]) == {"train", "test"}
    page = (out / "labels.html").read_text()
    assert page.count("<h3>") >= len(result.labels.suspects[:100])
    assert "http" not in page.replace("http-equiv", "")
    assert len(page) < 5e6


def test_the_file_is_acted_on(injected, audited, tmp_path):
    result, out = audited
    with (out / "labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = next(row for row in rows if row["part"] == "train")
    first["action"] = "relabel"
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(first))
        writer.writeheader()
        writer.writerows(rows)
    fixed = load_dataset(tmp_path / "labels.csv")
    at = next(s.position for s in result.labels.suspects if s.image == first["image"])
    assert fixed.classes[fixed.train.labels[at]] == first["suggested"]
    assert [done.relabeled for done in fixed.corrected] == [40, 1]


def test_a_stopped_search_goes_on_and_work_is_not_lost(injected, audited, tmp_path, monkeypatch):
    from atelier.auditing import crossvalidation

    result, out = audited
    monkeypatch.setattr(crossvalidation, "train_in_memory", None)  # nothing is trained again
    again = audit(injected[0], out=out, **OPTIONS)
    assert again.labels.to_dict() == result.labels.to_dict()
    table = out / "labels.csv"
    whole = table.read_text()
    try:
        table.write_text(whole.replace(",,/", ",keep,/", 1))
        with pytest.raises(StorageError, match="1 actions that somebody has filled in"):
            audit(injected[0], out=out, **OPTIONS)
    finally:
        table.write_text(whole)


def test_the_command(call, injected, audited, monkeypatch):
    out = audited[1]
    options = [word for override in QUICK for word in ("--set", override)]
    words = ("audit", injected[0], "--labels", "--recipe", "mlp", "--folds", 2, *options)
    code, said, _ = call(*words, "--out", out, "-q")
    assert code == 0
    assert f"to look through: {out / 'labels.html'}" in said


def test_what_cannot_be_judged_is_refused(injected):
    with pytest.raises(DataError, match="fewer images than that"):
        audit("fashion-mnist-sample", **{**OPTIONS, "folds": 200})
    with pytest.raises(ConfigError, match="two folds"):
        audit("fashion-mnist-sample", **{**OPTIONS, "folds": 1})
    with pytest.raises(ConfigError, match="--labels"):
        atelier.audit("fashion-mnist-sample", recipe="mlp", progress=False)


def test_photos_are_judged_too(photo_folder, tmp_path):
    changes = ("photos.image_size=32", "train.num_epochs=2", "train.batch_size=8")
    result = audit(
        photo_folder,
        labels=True,
        recipe="mlp",
        folds=2,
        overrides=[*changes, "model.width=16", "train.warmup_epochs=0"],
        out=tmp_path / "out",
        progress=False,
    )
    assert set(result.labels.agreement) == {"train", "validation"}
    page = (tmp_path / "out" / "labels.html").read_text()
    assert "Röcke &amp; Kleider, lang $x_1$" in page
    assert "<h1>Labels of shop</h1>" in page


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=40, max_size=120),
    st.integers(2, 5),
)
def test_folds_keep_groups_whole_and_are_even(images, folds):
    labels, groups = (np.array(column) for column in zip(*images, strict=True))
    if len(np.unique(groups)) < folds:
        return
    fold = deal(labels, groups, folds, seed=1)
    assert np.array_equal(fold, deal(labels, groups, folds, seed=1))
    for group in np.unique(groups):
        assert len(set(fold[groups == group].tolist())) == 1
    sizes = [len(set(groups[fold == number].tolist())) for number in range(folds)]
    assert max(sizes) - min(sizes) <= 1


def test_suspicion_is_the_loss():
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])
    found = suspicion(probs, np.array([0, 2]))
    assert found == pytest.approx([-np.log(0.7), -np.log(0.3)])


def test_classes_that_overlap_are_named_with_both_directions():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 100)
    probs = np.full((300, 3), 0.05)
    probs[np.arange(300), labels] = 0.9
    taken = rng.choice(100, 20, replace=False)  # of the first class, taken for the second
    probs[taken] = (0.03, 0.95, 0.02)
    (pair,) = class_overlaps(probs, labels, ("a", "b", "c"))
    assert (pair.first, pair.second) == ("a", "b")
    assert (pair.first_as_second, pair.second_as_first) == (20, 0)
    assert pair.share == pytest.approx(0.1)
    assert str(pair) == (
        "20 images labeled a look like b, and 0 images the other way: 10.0 % of the two"
    )
