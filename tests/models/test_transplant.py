"""Weights from one network into another: by name and shape, with the channels adapted."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atelier.models.transplant import adapt_channels, fit_weights

sizes = st.integers(1, 5)


def module(channels, width=4):
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.BatchNorm2d(width), nn.Flatten())


@given(outputs=sizes, channels=st.integers(2, 5), side=sizes)
def test_a_gray_image_gives_what_it_gives_in_equal_channels(outputs, channels, side):
    torch.manual_seed(0)
    gray = torch.randn(2, 1, side, side)
    colors = gray.expand(-1, channels, -1, -1)
    one = torch.randn(outputs, 1, side, side)
    many = torch.randn(outputs, channels, side, side)
    spread = adapt_channels(one, many.shape, (1, channels))
    summed = adapt_channels(many, one.shape, (channels, 1))
    conv = nn.functional.conv2d
    assert torch.allclose(conv(colors, spread), conv(gray, one), atol=1e-4)
    assert torch.allclose(conv(gray, summed), conv(colors, many), atol=1e-4)


def test_a_linear_layer_on_pixels_is_adapted_too():
    gray = torch.rand(3, 1, 4, 5)
    one = torch.randn(7, 20)
    spread = adapt_channels(one, torch.Size((7, 60)), (1, 3))
    colors = gray.expand(-1, 3, -1, -1).flatten(1)
    assert torch.allclose(colors @ spread.T, gray.flatten(1) @ one.T, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "wanted", "channels"),
    [
        ((4, 1, 3, 3), (4, 3, 5, 5), (1, 3)),
        ((4, 1, 3, 3), (5, 3, 3, 3), (1, 3)),
        ((4, 2, 3, 3), (4, 3, 3, 3), (2, 3)),
        ((4, 1, 3, 3), (4, 3, 3, 3), (3, 3)),
        ((4,), (12,), (1, 3)),
    ],
)
def test_other_shapes_are_not_made_to_fit(shape, wanted, channels):
    assert adapt_channels(torch.zeros(shape), torch.Size(wanted), channels) is None


def test_what_does_not_fit_is_told_by_name_and_shape():
    weights = module(1).state_dict()
    del weights["1.running_var"]
    fit = fit_weights(weights, module(1, width=8), (1, 1))
    assert not fit.whole
    assert str(fit).startswith("1 of 7 tensors match; missing: 1.running_var; of another shape: ")
    assert "0.weight (4 x 1 x 3 x 3 for 8 x 1 x 3 x 3)" in str(fit)
    assert str(fit).endswith(" and 1 more")


def test_old_files_lack_the_count_of_batches():
    weights = module(3).state_dict()
    del weights["1.num_batches_tracked"]
    fit = fit_weights(weights, target := module(3), (3, 3))
    assert fit.whole
    target.load_state_dict(fit.tensors)
