"""Maps of every network that the house builds, and what is true of them by their definitions."""

import numpy as np
import pytest
import torch

from atelier.errors import ConfigError
from atelier.explaining.attention import _weights, attentions
from atelier.explaining.methods import METHODS, applicable, maps_by

from .conftest import make_images, make_subject

WITHOUT = {
    "mlp": {"grad-cam", "rollout"},
    "cnn": {"rollout"},
    "resnet": {"rollout"},
    "hybrid": set(),
    "speednet": {"rollout"},
    "members": {"rollout"},
    "vit": set(),
    "own-vit": set(),
    "cct": set(),
    "coatnet": {"rollout"},
    "mixer": {"rollout"},
    "resnet18": {"rollout"},
}


def test_the_network_decides_which_methods_apply(family):
    subject = make_subject(family)
    chosen, refused = applicable(subject, None)
    assert set(refused) == WITHOUT[family]
    assert {m.name for m in chosen} == set(METHODS) - WITHOUT[family]
    images = make_images(subject)
    aim = subject.aim(subject.probs(images).argmax(axis=1))
    for method in chosen:
        maps = maps_by(method, subject, images, aim)
        assert maps.shape == (2, *images.shape[2:])
        assert np.isfinite(maps).all()
        if not method.signed:
            assert maps.min() >= 0
        if method.name != "grad-cam":  # which may find that nothing speaks for a class
            assert np.ptp(maps, axis=(1, 2)).min() > 0


def test_a_method_that_does_not_apply_is_refused_with_its_reason():
    subject = make_subject("mlp")
    with pytest.raises(ConfigError, match=r"none .* applies .* the network has no attention"):
        applicable(subject, ["rollout"])
    chosen, refused = applicable(subject, ["rollout", "smoothgrad"])
    assert [m.name for m in chosen] == ["smoothgrad"]
    assert refused == {"rollout": "the network has no attention"}
    with pytest.raises(ConfigError, match="Did you mean 'occlusion'"):
        applicable(subject, ["oclusion"])


@pytest.mark.parametrize("name", ["mlp", "cnn", "hybrid", "members"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 24)])
def test_integrated_gradients_sum_to_the_difference_of_the_logits(name, shape):
    subject = make_subject(name, shape=shape)
    images = make_images(subject, 3)
    aim = subject.aim(np.array([0, 1, 2]))
    maps = maps_by(METHODS["integrated-gradients"], subject, images, aim)
    blank = np.full_like(images, subject.card.background)
    rows = np.arange(3)
    logits, nothing = (subject.predictor.logits(some)[rows, rows] for some in (images, blank))
    difference = logits - nothing
    # 50 places meet a network of kinks: up to 2.3 % were seen.
    assert maps.sum(axis=(1, 2)) == pytest.approx(
        difference, abs=0.05 * float(np.abs(difference).max())
    )


def test_against_a_class_explains_the_lead_before_it():
    subject = make_subject("cnn")
    images = make_images(subject, 3)
    target, other = np.array([0, 1, 2]), np.array([3, 3, 3])
    method = METHODS["integrated-gradients"]
    lead = maps_by(method, subject, images, subject.aim(target, other))
    alone, away = (maps_by(method, subject, images, subject.aim(k)) for k in (target, other))
    assert lead == pytest.approx(alone - away, abs=1e-4)


def test_occlusion_is_the_mean_fall_under_the_windows_on_a_pixel():
    subject = make_subject("cnn", shape=(1, 10, 10))
    images = make_images(subject, 1)
    (found,) = maps_by(METHODS["occlusion"], subject, images, subject.aim(np.array([1])))
    total, times = np.zeros((10, 10)), np.zeros((10, 10))
    (whole,) = subject.predictor.logits(images)
    for top in range(9):
        for left in range(9):
            covered = images.copy()
            covered[..., top : top + 2, left : left + 2] = 0
            total[top : top + 2, left : left + 2] += (
                whole[1] - subject.predictor.logits(covered)[0, 1]
            )
            times[top : top + 2, left : left + 2] += 1
    assert found == pytest.approx(total / times, abs=1e-5)


def test_smoothgrad_is_the_same_twice_and_draws_from_nobody_elses_generator():
    subject = make_subject("mlp")
    images = make_images(subject)
    aim = subject.aim(np.array([0, 1]))
    torch.manual_seed(7)
    first = maps_by(METHODS["smoothgrad"], subject, images, aim)
    drawn = torch.rand(1)
    second = maps_by(METHODS["smoothgrad"], subject, images, aim)
    assert (first == second).all()
    torch.manual_seed(7)
    assert torch.rand(1) == drawn


@pytest.mark.parametrize("name", ["grad-cam", "rollout", "integrated-gradients"])
def test_the_map_of_a_mirrored_image_is_mirrored_where_the_run_judges_by_both(name):
    subject = make_subject("hybrid", shifted=False)
    images = make_images(subject)
    aim = subject.aim(np.array([0, 1]))
    maps = maps_by(METHODS[name], subject, images, aim)
    mirrored = maps_by(METHODS[name], subject, images[..., ::-1], aim)
    assert mirrored[..., ::-1] == pytest.approx(maps, rel=1e-3, abs=1e-4)


def test_maps_of_views_are_laid_back_over_the_image():
    subject = make_subject("mlp")
    images = make_images(subject)
    views = subject.classifier.views(torch.from_numpy(images))[:, 0]
    back = subject.unviewed(views)
    assert back.shape == (6, 2, 28, 28)
    inside = back[..., 1:-1, 1:-1]
    assert torch.equal(inside, inside[:1].expand_as(inside))


@pytest.mark.parametrize("name", ["hybrid", "own-vit", "cct", "vit"])
def test_the_weights_of_attention_are_those_that_the_network_mixes_by(name):
    subject = make_subject(name)
    features = subject.classifier.model.features
    module = attentions(features)[0]
    linear = module.proj if name == "vit" else module.mix
    seen = {}
    module.register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    linear.register_forward_pre_hook(lambda _, inputs: seen.update(mixed=inputs[0]))
    with torch.no_grad():
        subject.logits(subject.floats(make_images(subject)))
        weights = _weights(module, seen["x"])
        qkv = (module.qkv if name == "vit" else module.to_qkv)(seen["x"])
    n, tokens, _ = seen["x"].shape
    v = qkv.view(n, tokens, 3, weights.shape[1], -1)[:, :, 2].transpose(1, 2)
    mixed = (weights @ v).transpose(1, 2).flatten(2)
    assert weights.sum(dim=-1) == pytest.approx(torch.ones(weights.shape[:3]), abs=1e-5)
    assert mixed == pytest.approx(seen["mixed"], abs=1e-5)
