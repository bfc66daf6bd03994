"""What the checks of explanations measure, on maps whose worth is known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from atelier.data import load_dataset
from atelier.errors import RunError
from atelier.evaluation import judged_images
from atelier.explaining import load_checks
from atelier.explaining.checking import check
from atelier.explaining.checks import (
    Areas,
    curve_areas,
    judged,
    rank_correlation,
    rolled,
    structural_similarity,
)
from atelier.explaining.methods import applicable
from atelier.explaining.subject import Subject
from atelier.progress import progress_bar

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS)
def test_rank_correlation_is_spearmans(seed):
    a, b = np.random.default_rng(seed).integers(0, 6, (2, 5, 4)).astype(float)
    if np.ptp(a) and np.ptp(b):
        assert rank_correlation(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert rank_correlation(a, np.ones_like(a)) == 0


@given(SEEDS)
def test_a_map_is_like_itself_and_unlike_noise(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 28, 28))
    assert structural_similarity(a, a) == pytest.approx(1)
    assert structural_similarity(a, 3 * a) == pytest.approx(1)
    assert abs(structural_similarity(a, b)) < 0.2
    assert structural_similarity(a, b) == pytest.approx(structural_similarity(b, a))


def test_areas_are_those_of_a_probability_that_is_the_share_of_bright_pixels():
    image = np.zeros((1, 1, 10, 10), np.uint8)
    image[..., :5, :] = 1  # half of the pixels are all that counts
    nothing = np.zeros_like(image)

    def probability(images):
        return images.mean(axis=(1, 2, 3))

    best = image[:, 0].astype(float)
    assert curve_areas(nothing, image, best, probability) == pytest.approx([0.125])
    assert curve_areas(nothing, image, 1 - best, probability) == pytest.approx([0.375])
    assert curve_areas(image, nothing, best, probability) == pytest.approx([0.375])


def test_rolled_maps_keep_their_values():
    maps = np.random.default_rng(0).normal(size=(3, 6, 7))
    moved = rolled(maps, np.random.default_rng(1))
    assert (np.sort(moved, axis=None) == np.sort(maps, axis=None)).all()
    assert (moved != maps).any()


def test_a_gain_is_over_the_better_of_the_random_maps():
    rng = np.random.default_rng(0)
    area = rng.uniform(0.1, 0.3, 30)
    areas = [
        Areas("good", "deletion", area, area + 0.4, area + rng.uniform(0.05, 0.15, 30)),
        Areas("none", "insertion", area, area + rng.normal(0, 0.1, 30), area - 0.2),
    ]
    good, none = judged(areas)
    assert good.gain == pytest.approx(0.1, abs=0.02)
    assert good.interval[0] > 0.08
    assert good.verdict == "better"
    assert abs(none.gain) < 0.06
    assert none.verdict == "no difference seen"


@pytest.fixture(scope="module")
def checked(train_tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "cnn"
    run = train_tiny(out, "train.num_epochs=4", recipe="cnn")
    subject = Subject.of_run(run, device="cpu")
    methods, _ = applicable(subject, None)
    split = judged_images(run, load_dataset(run.recipe.data), "test")
    with progress_bar("check", 1, show=False) as bar:
        checks = check(run, subject, methods, split, "test", count=16, bar=bar)
    checks.save(run)
    return run, checks


def test_maps_lose_themselves_with_the_weights(checked):
    _, checks = checked
    by_name = {found.method: found for found in checks.randomization}
    assert set(by_name) == {"grad-cam", "integrated-gradients", "occlusion", "smoothgrad"}
    for found in by_name.values():
        assert found.levels[0] == "head"
        assert found.levels[-1] == "the pixels"
        assert found.correlation[-1] < 0.6
    assert abs(by_name["integrated-gradients"].correlation[-1]) < 0.3
    assert abs(by_name["occlusion"].correlation[-1]) < 0.5


def test_deletion_by_occlusion_beats_random_maps(checked):
    _, checks = checked
    found = {(f.method, f.curve): f for f in checks.faithfulness}
    for method in ("occlusion", "integrated-gradients"):
        assert found[method, "deletion"].verdict == "better"
        assert found[method, "deletion"].area < found[method, "deletion"].scattered


def test_checks_are_kept_in_the_run(checked):
    run, checks = checked
    assert load_checks(run) == checks
    path = run.path / "explanation-checks.json"
    text = path.read_text("utf-8")
    for damage in ("{}", json.dumps({**json.loads(text), "seeds": 3})):
        path.write_text(damage)
        with pytest.raises(RunError, match=r"atelier explain .* --check"):
            load_checks(run)
    path.unlink()
    assert load_checks(run) is None
    path.write_text(text)
    assert "rolled" in str(checks)
