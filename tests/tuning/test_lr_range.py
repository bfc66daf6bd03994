"""The learning-rate range test: what it suggests, what it leaves, and what it refuses."""

import json
import math

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.errors import ConfigError
from atelier.tuning.lr_range import _landmarks, _smoothed

pytestmark = pytest.mark.usefixtures("narrow_recipes")

QUICK = ["train.batch_size=32"]


def ranged(out, recipe="mlp", *overrides):
    return atelier.lr_range(
        recipe,
        data="fashion-mnist-sample",
        overrides=[*QUICK, *overrides],
        out=out,
        progress=False,
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Of a narrow perceptron."""
    out = tmp_path_factory.mktemp("tune") / "mlp"
    return ranged(out, "mlp", "model.width=16")


def test_rates_rise_by_the_same_factor_until_the_loss_blows_up(found):
    factors = np.diff(np.log(found.rates))
    assert factors == pytest.approx(math.log(10 / 1e-6) / 149)
    assert found.rates[0] == pytest.approx(1e-6)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 150
    assert all(math.isfinite(loss) for loss in found.losses)
    # Before anything is learned, ten classes are guessed.
    assert found.losses[0] == pytest.approx(math.log(10), abs=0.5)


def test_the_suggestion_lies_where_the_loss_falls(found):
    assert found.rates[0] < found.steepest < found.suggested < found.lowest <= found.rates[-1]
    assert found.suggested == pytest.approx(math.sqrt(found.steepest * found.lowest), rel=0.05)
    assert f"--set train.lr={found.suggested:g}" in str(found)


def test_a_training_at_the_suggested_rate_beats_those_far_from_it(found, tmp_path, train_tiny):
    accuracy = {
        factor: train_tiny(tmp_path / f"{factor}", f"train.lr={found.suggested * factor}").metrics[
            "best_validation_accuracy"
        ]
        for factor in (1, 0.001)
    }
    assert accuracy[1] > accuracy[0.001] + 0.1


def test_it_leaves_a_picture_and_its_numbers_and_nothing_else(found):
    files = {str(p.relative_to(found.folder)) for p in found.folder.rglob("*") if p.is_file()}
    assert files == {"lr-range.json", "figures/lr-range.png"}
    kept = json.loads((found.folder / "lr-range.json").read_text())
    assert kept["suggested"] == found.suggested
    assert tuple(kept["losses"]) == found.losses
    with Image.open(found.folder / "figures" / "lr-range.png") as picture:
        assert picture.size[0] > 500


def test_the_same_seed_finds_the_same(found, tmp_path):
    assert ranged(tmp_path, "mlp", "model.width=16").losses == found.losses


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.sharpness=sam", "train.accumulate=2", "train.lookahead_steps=3"],
        ["train.optimizer=lion", "train.precision=bfloat16"],
    ],
)
def test_every_setting_can_be_ranged(tmp_path, overrides):
    assert ranged(tmp_path, "mlp", *overrides).suggested > 0


def test_groups_of_muon_keep_their_ratio(tmp_path, monkeypatch):
    seen = []
    from atelier.training.muon import Muon

    whole = Muon.step

    def step(self, closure=None):
        seen.append([group["lr"] for group in self.param_groups])
        return whole(self, closure)

    monkeypatch.setattr(Muon, "step", step)
    options = ["train.optimizer=muon", "train.lr=0.1", "train.sgd_lr=0.5"]
    found = ranged(tmp_path, "cnn", *options)
    assert [first for first, *_ in seen[: len(found.rates)]] == pytest.approx(list(found.rates))
    assert all(other == pytest.approx(5 * first) for first, *others in seen for other in others)
    assert found.words == (
        f"--set train.lr={found.suggested:g} --set train.sgd_lr={5 * found.suggested:.2g}"
    )


def test_the_landmarks_of_a_known_curve():
    rates = np.geomspace(1e-4, 1, 81)
    places = np.log10(rates)
    losses = 1 / (1 + np.exp(6 * (places + 3))) + np.maximum(0, places + 1.5) ** 2
    steepest, lowest = _landmarks(rates, losses)
    assert math.log10(steepest) == pytest.approx(-3, abs=0.05)
    assert math.log10(lowest) == pytest.approx(-1.5, abs=0.15)


def test_smoothing_keeps_a_line_and_quiets_noise():
    line = np.linspace(3, 1, 60)
    assert _smoothed(line)[12:-12] == pytest.approx(line[12:-12], abs=1e-4)
    noise = np.random.default_rng(0).normal(size=200)
    assert _smoothed(noise).std() < 0.5 * noise.std()


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0]])
def test_a_loss_that_never_falls_is_said(losses):
    with pytest.raises(ConfigError, match="the loss fell at no learning rate"):
        _landmarks(np.geomspace(1e-6, 1, len(losses)), np.array(losses))


def test_the_command_line_prints_what_to_set(call, here):
    words = ["tune", "mlp", "--lr-range", "--data", "fashion-mnist-sample", "--quiet"]
    code, out, err = call(*words, "--set", "train.batch_size=32")
    assert (code, err) == (0, "")
    folder = here / "runs" / "tune" / "mlp-fashion-mnist-sample"
    kept = json.loads((folder / "lr-range.json").read_text())
    assert f"--set train.lr={kept['suggested']:g}" in out
    assert "figures/lr-range.png" in out


@pytest.mark.parametrize("more", [("--trials", 3), ("--search", "train.lr=1..2")])
def test_a_range_test_takes_no_settings_of_a_search(refused, more):
    assert "--lr-range searches nothing" in refused("tune", "mlp", "--lr-range", *more)
