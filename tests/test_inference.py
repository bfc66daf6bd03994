"""Predictions of files and folders: calibrated, in bounded memory, and unknown where unsure."""

import itertools

import numpy as np
import pytest

from atelier import predict, predictor
from atelier.data import image_files
from atelier.errors import ConfigError, DataError, ImageError, RunError
from atelier.evaluation import calibration_of
from atelier.inference import answer_rule_of, find_images, predict_each


def test_a_folder_is_searched_and_gives_what_the_evaluation_gave(photo_run, photo_folder):
    results = predict(photo_run, [photo_folder / "validation"])
    kept = calibration_of(photo_run).apply(photo_run.predictions("validation"))
    assert [result.path for result in results] == sorted(result.path for result in results)
    assert len(results) == len(kept) == 36
    by_class = {name: [r for r in results if f"/{name}/" in r.path] for name in kept.classes}
    for k, name in enumerate(kept.classes):
        guesses = sorted(result.probs[name] for result in by_class[name])
        assert np.allclose(guesses, sorted(kept.probs[kept.labels == k, k]), atol=1e-5)
        assert not any(result.inverted for result in by_class[name])


def test_files_and_folders_keep_their_order(photo_folder):
    folder = photo_folder / "train" / "schuhe"
    last = max(folder.iterdir())
    assert find_images([last, folder, last]) == [last, *sorted(folder.iterdir()), last]


def test_a_folder_without_images_is_one_line(photo_run, tmp_path):
    with pytest.raises(DataError, match="has no image files"):
        predict(photo_run, [tmp_path])


def test_unsure_answers_are_unknown_with_the_best_guess_beside(photo_run, photo_folder):
    results = predict(photo_run, [photo_folder / "validation"], unknown_below=0.6)
    assert {result.unknown for result in results} == {True, False}
    for result in results:
        assert result.unknown == (result.probability < 0.6)
        assert result.predicted == max(result.probs, key=result.probs.get)
    assert not any(result.unknown for result in predict(photo_run, [photo_folder / "validation"]))


def test_a_stated_error_sets_the_threshold(photo_run, photo_folder):
    rule = answer_rule_of(photo_run, 0.5)
    results = predict(photo_run, [photo_folder / "validation"], max_error=0.5)
    assert sum(not result.unknown for result in results) == rule.answered
    with pytest.raises(ConfigError, match="no threshold keeps the error"):
        predict(photo_run, [photo_folder / "validation"], max_error=0.001)


def test_a_run_without_validation_images_can_promise_nothing(photo_run, own_run):
    (own_run.path / "predictions" / "validation.npz").unlink()
    with pytest.raises(RunError, match="no predictions for the validation images"):
        answer_rule_of(own_run, 0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unknown_below": 1.5}, "out of range; got 1.5"),
        ({"unknown_below": -0.1}, "out of range"),
        ({"max_error": 2}, "out of range; got 2"),
        ({"max_error": 0.5, "unknown_below": 0.5}, "Give one"),
    ],
)
def test_wrong_wishes_are_one_line(photo_run, photo_folder, options, words):
    with pytest.raises(ConfigError, match=words):
        predict(photo_run, [photo_folder], **options)


def test_bad_files_can_be_skipped(photo_run, photo_folder, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    good = min((photo_folder / "train" / "schuhe").iterdir())
    with pytest.raises(ImageError, match=r"bad\.png"):
        predict(photo_run, [good, bad, good])
    results = predict(photo_run, [good, bad, good], skip_bad=True)
    assert [result.path for result in results] == [str(good)] * 2


def test_files_are_read_only_a_batch_ahead(photo_run, photo_folder, monkeypatch):
    seen, read = [], image_files.read_image

    def noted(path, **options):
        seen.append(path)
        return read(path, **options)

    monkeypatch.setattr(image_files, "read_image", noted)
    monkeypatch.setattr(predictor, "_BATCH_SIZE", 3)
    paths = find_images([photo_folder / "train"])
    results = predict_each(photo_run, paths)
    first = list(itertools.islice(results, 4))
    assert [result.path for result in first] == list(map(str, paths[:4]))
    assert len(seen) <= 9
    results.close()
