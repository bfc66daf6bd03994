"""First layers: whitening, on the real images of the sample."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import atelier
from atelier.config import SpeedNetConfig
from atelier.data import normalization_of
from atelier.data.batches import Normalizer
from atelier.models import build_model, fit_whitening, model_cost
from atelier.models.stems import WhiteningConv


@pytest.fixture(scope="module")
def real():
    """The sample's (1000, 1, 28, 28) images, normalized. For reading only."""
    images = atelier.load_dataset("fashion-mnist-sample").train.images
    return Normalizer(*normalization_of(images), torch.device("cpu"))(torch.tensor(images))


@pytest.fixture(scope="module")
def colored(real):
    """Images of three channels that know of each other, (300, 3, 28, 28)."""
    red, green, blue = real[:300], real[300:600], real[600:900]
    return torch.cat([red, 0.9 * red + 0.1 * green, blue - red], dim=1)


def fitted(images, filters=32):
    torch.manual_seed(0)
    stem = WhiteningConv(images.shape[1], filters)
    stem.fit(images)
    return stem


def covariance_of(stem, images):
    """That of the first half's outputs, where the filters lie inside the images: at the edges they
    see the background that is added there."""
    half = stem.out_channels // 2
    inside = F.conv2d(images, stem.weight[:half], stride=stem.stride)
    return inside.double().transpose(0, 1).flatten(1).cov()


def test_outputs_are_uncorrelated_and_the_leading_ones_of_variance_1(real):
    covariance = covariance_of(fitted(real), real)
    variances = covariance.diagonal()
    correlations = covariance / (variances[:, None] * variances[None]).sqrt()
    assert torch.allclose(correlations, torch.eye(16).double(), atol=1e-3)
    assert torch.allclose(variances[:8], torch.ones(8).double(), atol=0.01)
    # The last directions hold so little that they are not blown up to the whole.
    assert variances.max() < 1.01
    assert variances.min() > 0.5


def test_three_channels_are_whitened_together(colored):
    stem = fitted(colored, 24)
    covariance = covariance_of(stem, colored)
    assert stem.weight.shape == (24, 3, 4, 4)
    assert torch.allclose(covariance, torch.eye(12).double(), atol=0.02)
    assert (stem.weight.abs().amax(dim=(2, 3)) > 0).all()


@pytest.mark.parametrize("filters", [2, 8, 32])
def test_the_second_half_are_the_negatives_of_the_first(real, filters):
    weight = fitted(real[:100], filters).weight
    assert torch.equal(weight[filters // 2 :], -weight[: filters // 2])


def test_fewer_filters_are_the_leading_ones(real):
    few, all_of_them = fitted(real[:100], 8), fitted(real[:100], 32)
    assert torch.equal(few.weight[:4], all_of_them.weight[:4])


def test_what_a_patch_has_no_directions_for_starts_random(real):
    torch.manual_seed(0)
    start = WhiteningConv(1, 40).weight.clone()
    weight = fitted(real[:100], 40).weight
    assert torch.equal(weight[20:36], -weight[:16])
    for spare in (slice(16, 20), slice(36, 40)):
        assert torch.equal(weight[spare], start[spare])


def test_the_resolution_is_halved(real):
    assert fitted(real)(real[:2]).shape == (2, 32, 14, 14)
    assert fitted(real)(real[:2, :, :9, :13]).shape == (2, 32, 4, 6)


def test_its_filters_are_not_learned_and_its_bias_is(real):
    stem = fitted(real[:100], 8)
    model = nn.Sequential(stem, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 3))
    model(real[:4]).sum().backward()
    assert stem.weight.grad is None
    assert stem.bias.grad is not None
    assert model[3].weight.grad is not None
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["0.weight"]
    assert model_cost(model, (1, 28, 28)).parameters == 8 + 8 * 14 * 14 * 3 + 3


def test_it_is_saved_with_the_weights(real):
    assert fitted(real[:100], 8).state_dict().keys() == {"weight", "bias"}


def test_the_order_of_the_images_does_not_matter(real):
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(0))
    weight, shuffled = fitted(real).weight, fitted(real[order]).weight
    assert torch.allclose(shuffled, weight, atol=5e-3)


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_constant_images_give_finite_filters(value):
    stem = fitted(torch.full((16, 1, 9, 9), value), 32)
    assert stem.weight.isfinite().all()
    assert stem.weight.abs().max() < 100
    assert stem(torch.randn(2, 1, 9, 9)).isfinite().all()


def test_one_image_of_the_least_size_will_do():
    assert fitted(torch.randn(1, 1, 4, 4)).weight.isfinite().all()


def test_the_stem_of_a_network_is_fitted_and_the_rest_left_alone(real):
    torch.manual_seed(0)
    model = build_model(SpeedNetConfig(stem_filters=8), (1, 28, 28), 10)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    asked = []

    def some_images(count):
        asked.append(count)
        return real[:count]

    fit_whitening(model, some_images)
    assert max(asked) > 1000
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == {"features.0.weight"}
    assert torch.allclose(model.features[0].weight, fitted(real, 8).weight, atol=1e-5)


def test_a_network_without_whitening_asks_for_no_images():
    model = build_model(SpeedNetConfig(stem="convolution"), (1, 28, 28), 10)
    fit_whitening(model, lambda _count: pytest.fail("no images are needed"))
