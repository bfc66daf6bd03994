"""The final evaluation: the test images are read once."""

import json

import pytest

import atelier
from atelier import data, evaluate
from atelier.errors import AtelierError, ConfigError, RunError


@pytest.fixture
def loads(monkeypatch):
    """The data sets that were loaded since, one entry each time."""
    seen, load = [], data.load_dataset

    def counted(spec, *options):
        seen.append(spec)
        return load(spec, *options)

    monkeypatch.setattr(data, "load_dataset", counted)
    return seen


def test_the_test_images_are_read_once(own_run, loads):
    (own_run.path / "predictions" / "test.npz").unlink()
    first = evaluate(own_run)
    assert loads == ["fashion-mnist-sample"]
    assert evaluate(own_run.path).to_dict() == first.to_dict()
    assert evaluate(str(own_run.path)).to_dict() == first.to_dict()
    assert loads == ["fashion-mnist-sample"]
    assert evaluate(own_run, refresh=True).to_dict() == first.to_dict()
    assert len(loads) == 2


def test_the_result_is_of_the_whole_test_part(finished_run):
    result = evaluate(finished_run)
    kept = finished_run.predictions("test")
    assert result.n == 500
    assert result.accuracy == kept.correct.mean()
    assert [row.name for row in result.per_class] == list(finished_run.classes)
    assert "accuracy" in str(result)
    assert json.loads(json.dumps(result.to_dict()))["n"] == 500


def test_validation_is_evaluated_from_what_training_kept(own_run, loads):
    result = evaluate(own_run, split="validation")
    assert result.accuracy == own_run.metrics["best_validation_accuracy"]
    assert loads == []


def test_validation_made_anew_is_the_same(own_run):
    before = own_run.predictions("validation")
    evaluate(own_run, split="validation", refresh=True)
    after = own_run.predictions("validation")
    assert (after.ids == before.ids).all()
    assert (after.logits == before.logits).all()


def test_an_unknown_split_is_one_line_and_leaves_nothing(own_run):
    before = sorted((own_run.path / "predictions").iterdir())
    for split in ("train", "../../escape", ""):
        with pytest.raises(ConfigError, match="allowed: test, validation"):
            evaluate(own_run, split=split)
    assert sorted((own_run.path / "predictions").iterdir()) == before


def test_a_run_on_all_images_has_no_validation_part(tmp_path, train_tiny):
    run = train_tiny(
        tmp_path / "run", "train.validation_share=0", "train.keep=last", "train.num_epochs=1"
    )
    with pytest.raises(RunError, match="none were held out"):
        evaluate(run, split="validation")


def test_other_data_than_in_training_are_refused(own_run):
    path = own_run.path / "environment.json"
    path.write_text(json.dumps({**own_run.environment, "data_fingerprint": "other"}))
    (own_run.path / "predictions" / "test.npz").unlink()
    with pytest.raises(RunError, match="other data than fashion-mnist-sample holds now"):
        evaluate(own_run)
    assert not own_run.has_predictions("test")


def test_corrupt_predictions_are_mended_by_refreshing(own_run):
    before = evaluate(own_run).to_dict()
    (own_run.path / "predictions" / "test.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(AtelierError, match="--refresh"):
        evaluate(own_run)
    assert evaluate(own_run, refresh=True).to_dict() == before


def test_what_is_no_run_is_one_line(tmp_path):
    with pytest.raises(RunError):
        atelier.evaluate(tmp_path)


def test_classes_in_another_order_are_told(own_run):
    environment, card = own_run.path / "environment.json", own_run.path / "model.json"
    environment.write_text(json.dumps({**own_run.environment, "data_fingerprint": "other"}))
    fields = json.loads(card.read_text())
    card.write_text(json.dumps({**fields, "classes": fields["classes"][::-1]}))
    with pytest.raises(RunError, match="class 0 of the run is 'Ankle boot', and of the data 'T-sh"):
        evaluate(own_run, refresh=True)


def test_photos_that_nothing_was_chosen_by_are_judged_by_the_validation_part(
    photo_folder, train_on_photos, tmp_path
):
    all_images = ("train.validation_share=0", "train.keep=last", "train.num_epochs=1")
    run = train_on_photos(tmp_path / "run", photo_folder, *all_images)
    assert not run.has_predictions("validation")
    result = evaluate(run)
    assert (result.n, result.images, result.calibrated) == (36, "validation images", None)


def test_photos_without_a_test_share_are_judged_by_what_training_held_out(
    draw_photos, train_on_photos, tmp_path
):
    folder = draw_photos(tmp_path / "flat")
    overrides = ("photos.test_share=0", "train.validation_share=0.25", "train.num_epochs=1")
    run = train_on_photos(tmp_path / "run", folder, *overrides)
    kept = run.predictions("validation")
    result = evaluate(run, refresh=True)
    assert result.n == len(kept) == 9
    assert "no test part" in result.note
    assert (run.predictions("validation").ids == kept.ids).all()
    assert atelier.report([run], tmp_path / "report.html", progress=False).is_file()
