"""What a user sees of a run's uncertainty, and what is kept of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

import atelier
from atelier import load_run
from atelier.cli import main
from atelier.errors import ConfigError, RunError
from atelier.evaluation import ece
from atelier.evaluation.isotonic import isotonic_of
from atelier.uncertainty import Uncertainty, load_uncertainty, uncertainty_pictures

PICTURES = {
    "uncertainty-detection",
    "uncertainty-reliability",
    "uncertainty-scores",
    "uncertainty-selective",
    "uncertainty-sets",
    "uncertainty-unknowns",
}


@pytest.fixture(scope="module", autouse=True)
def few_images():
    """A tenth of the images that are drawn and asked for: nothing here hangs on their number."""
    from atelier.uncertainty import entry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "MOST_TRAINING", 300)
        patch.setattr(entry, "MOST_KNOWN", 200)
        patch.setattr(entry, "DRAWN", 60)
        patch.setattr(entry, "uncertainty_pictures", lambda *_: [])  # most of the time goes there
        yield


@pytest.fixture
def pictured(monkeypatch):
    """Pictures are drawn too."""
    from atelier.uncertainty import entry

    monkeypatch.setattr(entry, "uncertainty_pictures", uncertainty_pictures)


@pytest.fixture(scope="module")
def asked(finished_run, photo_folder, tmp_path_factory):
    """A copy of the finished run with its uncertainty; photos are unknown to it."""
    import shutil

    run = load_run(shutil.copytree(finished_run.path, tmp_path_factory.mktemp("asked") / "run"))
    return run, atelier.uncertainty(run, unknowns=photo_folder)


def test_it_says_all_of_it(asked):
    run, result = asked
    test = run.predictions("test")
    assert (result.part, result.images) == ("test", len(test))
    assert [row.method for row in result.probabilities] == ["as trained", "temperature", "isotonic"]
    assert result.probabilities[0].ece.value == pytest.approx(ece(test.probs, test.labels))
    evaluated = atelier.evaluate(run)
    assert result.served.ece.value == pytest.approx(evaluated.calibrated.ece)
    assert result.served.nll == pytest.approx(evaluated.calibrated.nll)
    assert result.selective[0].risk[-1] == pytest.approx(1 - evaluated.accuracy)
    assert [row.method for row in result.conformal] == ["lac", "aps", "raps", "lac by class"]
    assert result.unknowns[0] == "drawn digits"
    assert result.unknowns[-1] == "shop"
    assert len(result.detections) == 4 * 6
    said = str(result)
    for words in ("fitted on", "temperature", "lac by class", "drawn digits", "shop", "is served"):
        assert words in said


def test_what_was_fitted_never_saw_the_test_images(asked):
    """Other test labels change what is measured, and nothing that is fitted."""
    run, result = asked
    before = isotonic_of(run)
    test = run.predictions("test")
    wrong = replace(test, labels=(test.labels + 1) % 10)
    run.save_predictions("test", wrong)
    try:
        other = atelier.uncertainty(run)
    finally:
        run.save_predictions("test", test)
    assert isotonic_of(run) == before
    assert other.temperature == result.temperature
    assert [row.threshold for row in other.detectors] == [row.threshold for row in result.detectors]
    assert [row.sizes for row in other.conformal] == [row.sizes for row in result.conformal]
    assert other.notes[-1] == result.notes[-1]  # of the choice of a calibration
    assert "fewer than" in other.notes[0]  # sets that hold a wrong class break their promise
    assert other.served.ece.value > result.served.ece.value


@pytest.mark.usefixtures("pictured")
def test_it_is_kept_and_pictured_again(asked):
    run, _ = asked
    result = atelier.uncertainty(run, seed=3)
    assert load_uncertainty(run) == result
    assert {path.stem for path in (run.path / "figures").iterdir()} == PICTURES
    again = uncertainty_pictures(load_uncertainty(run))
    assert {picture.key for picture in again} == PICTURES - {"uncertainty-unknowns"}
    assert all(picture.alt and picture.caption and picture.title for picture in again)


def test_the_same_seed_gives_the_same(asked):
    run, result = asked
    again = atelier.uncertainty(run)
    assert again.probabilities == result.probabilities
    drawn = [row for row in result.detections if row.unknowns != "shop"]
    for new, old in zip(again.detections, drawn, strict=True):
        assert (new.score, new.auroc, new.passing) == (old.score, old.auroc, old.passing)


def test_what_is_damaged_or_of_another_version_says_how_to_mend_it(own_run):
    assert load_uncertainty(own_run) is None
    for text in ('{"format_version": 1}', '{"format_version": 99}', "{", "[]"):
        (own_run.path / "uncertainty.json").write_text(text)
        with pytest.raises(RunError):
            load_uncertainty(own_run)
    (own_run.path / "uncertainty.json").write_text('{"format_version": 99}')
    with pytest.raises(RunError, match="Make it anew with `atelier uncertainty`"):
        load_uncertainty(own_run)


@pytest.mark.usefixtures("pictured")
def test_photos_without_a_test_part_are_judged_by_what_the_others_gave(photo_run, tmp_path):
    import shutil

    run = load_run(shutil.copytree(photo_run.path, tmp_path / "photos"))
    result = atelier.uncertainty(run)
    assert (result.part, result.images, result.held_out) == ("validation", 36, 36)
    assert "has no test part" in result.notes[0]
    calibrated = atelier.evaluate(run).calibrated
    assert result.served.ece.value == pytest.approx(calibrated.ece)
    assert (run.path / "figures" / "uncertainty-unknowns.jpg").is_file()


def test_a_run_that_held_out_nothing_says_what_cannot_be_shown(train_tiny, tmp_path):
    run = train_tiny(tmp_path / "all", "train.validation_share=0", "train.keep=last")
    result = atelier.uncertainty(run)
    assert (result.held_out, result.temperature, result.conformal) == (0, None, ())
    assert [row.method for row in result.probabilities] == ["as trained"]
    assert "nothing could be fitted" in str(result)
    assert "train.validation_share=0.1" in str(result)
    assert len(result.detections) == 4 * 5
    assert not (run.path / "isotonic.json").exists()
    assert load_uncertainty(run) == result


def test_a_level_out_of_range_is_refused_before_anything_is_done(own_run):
    with pytest.raises(ConfigError, match="out of range"):
        atelier.uncertainty(own_run, level=1.5)
    assert load_uncertainty(own_run) is None


def test_the_verb_prints_it_and_json(own_run, capsys):
    with pytest.raises(SystemExit):
        main(["uncertainty", str(own_run.path), "--quiet", "--level", "0.8"])
    said = capsys.readouterr()
    assert "hold the true class of 80 % of the images" in said.out
    assert "uncertainty-*.png" in said.out
    assert said.err == ""
    with pytest.raises(SystemExit):
        main(["uncertainty", str(own_run.path), "--quiet", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["level"] == 0.95
    assert isinstance(load_uncertainty(own_run), Uncertainty)


def test_the_verb_refuses_a_folder_that_is_no_run(refused, tmp_path):
    assert "there is no run folder here" in refused("uncertainty", tmp_path / "nothing")


def test_pictures_stand_a_hundred_classes_with_long_names(asked):
    _, result = asked
    many = tuple(
        replace(row, name=f"_Röcke & Kleider, lang $x_{k}$ <b> 靴下 {k}")
        for k, row in enumerate(result.conformal[0].per_class * 10)
    )
    sets = replace(result.conformal[0], per_class=many)
    other = replace(result.conformal[-1], per_class=many)
    wide = replace(result, conformal=(sets, *result.conformal[1:-1], other))
    for picture in uncertainty_pictures(wide):
        assert picture.data.startswith(b"\x89PNG")


def test_thresholds_keep_the_share_of_known_images_that_they_are_to_keep(asked):
    _, result = asked
    for row in result.detectors:
        assert row.kept.low - 0.05 < 0.95 < row.kept.high + 0.05
        assert sum(row.histogram) == pytest.approx(1)
        assert np.all(np.diff(row.edges) > 0)
