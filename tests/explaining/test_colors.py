"""Colors of maps: white is nothing, and equal steps look equal."""

import numpy as np
import pytest

from atelier.explaining.colors import _lab, diverging, overlaid, sequential


def test_nothing_is_white_and_more_is_darker():
    assert diverging()(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.02)
    assert sequential()(0.0)[:3] == pytest.approx((1, 1, 1), abs=0.01)
    lightness = [_lab(np.array(color[:3]))[0] for color in sequential()(np.linspace(0, 1, 64))]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize("half", [slice(0, 128), slice(128, 256)])
def test_equal_steps_look_equal(half):
    labs = np.array([_lab(np.array(color[:3])) for color in diverging().colors[half]])
    steps = np.linalg.norm(np.diff(labs, axis=0), axis=1)
    assert steps.max() < 1.5 * steps.min()


def test_signs_have_colors_and_the_image_stays_visible():
    image = np.zeros((1, 4, 4), np.uint8)
    image[0, :, 2:] = 255
    values = np.zeros((4, 4))
    values[0], values[1] = 1, -1
    shown = overlaid(image, values, signed=True).astype(int)
    assert shown.shape == (3, 4, 4)
    assert (shown[0, 0] > shown[2, 0]).all()  # for the class: red over blue
    assert (shown[2, 1] > shown[0, 1]).all()
    assert (shown[:, 3, 2:] >= 250).all()
    assert (shown[:, 3, :2] < 200).all()
