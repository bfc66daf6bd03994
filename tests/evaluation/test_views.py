"""What views bring on the validation images."""

import json

import numpy as np
import pytest

import atelier
from atelier.errors import RunError
from atelier.evaluation import ViewGain, ViewGains, holm, mcnemar_exact


def test_each_choice_of_views_is_judged_beside_the_image_alone(finished_run):
    gains = atelier.view_gains(finished_run)
    kept = finished_run.predictions("validation")
    # The run itself judges by the image alone.
    assert gains.judges_by == "the image alone"
    assert gains.accuracy == pytest.approx(float(kept.correct.mean()))
    assert gains.images == len(kept)
    assert [gain.cost for gain in gains.gains] == [2, 3, 6]
    for gain in gains.gains:
        assert gain.accuracy - gains.accuracy == pytest.approx(gain.difference)
        assert gain.interval[0] <= gain.difference <= gain.interval[1]


def test_by_hand(finished_run):
    """The mirror's logits averaged here, its p-value corrected for three choices."""
    from atelier.data import load_dataset
    from atelier.evaluation import judged_images
    from atelier.predictor import Predictor

    images = judged_images(finished_run, load_dataset("fashion-mnist-sample"), "validation")
    predictor = Predictor.of_run(finished_run)
    plain = predictor.logits(images.images)
    mirrored = predictor.logits(np.ascontiguousarray(images.images[..., ::-1]))
    own = (plain + mirrored).argmax(1) == images.labels
    alone = plain.argmax(1) == images.labels
    gains = atelier.view_gains(finished_run)
    first = gains.gains[0]
    assert first.accuracy == pytest.approx(float(own.mean()))
    p = mcnemar_exact(own, alone)
    assert min(1.0, p) <= first.p <= holm([p, 1.0, 1.0])[0]


def test_words_are_no_more_than_the_numbers():
    def said(difference, p):
        gain = ViewGain("mirror", 2, 0.9 + difference, difference, (-0.1, 0.1), p)
        return str(ViewGains("run", 500, 0.9, "mirror", (gain,)))

    assert "better than the image alone: mirror" in said(0.02, 0.01)
    assert "worse than the image alone: mirror" in said(-0.02, 0.01)
    assert "more than chance" in said(0.02, 0.4)


def test_the_command_line(finished_run, call, refused, own_run):
    code, said, _ = call("evaluate", finished_run.path, "--views")
    assert code == 0
    assert "mirror and shifts" in said
    code, said, _ = call("evaluate", finished_run.path, "--views", "--json")
    assert len(json.loads(said)["gains"]) == 3
    assert "validation" in refused("evaluate", own_run.path, "--views", "--split", "test")


def test_a_run_that_held_out_nothing_has_nothing_to_choose_by(train_tiny, tmp_path):
    run = train_tiny(
        tmp_path / "all", "train.validation_share=0", "train.keep=last", "train.num_epochs=1"
    )
    with pytest.raises(RunError, match="none were held out"):
        atelier.view_gains(run)
