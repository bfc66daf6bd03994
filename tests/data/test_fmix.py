"""FMix: masks of a given area."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data.fmix import low_frequency_masks
from atelier.data.mixing import Mixing


def masks_of(share, size, seed=0, **options):
    return low_frequency_masks(share, size, torch.Generator().manual_seed(seed), **options)


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=6),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 1000),
)
def test_a_mask_has_its_share_to_a_pixel(shares, size, seed):
    masks = masks_of(torch.tensor(shares), size, seed)
    assert masks.shape == (len(shares), 1, *size)
    pixels = size[0] * size[1]
    taken = masks.sum((1, 2, 3)).numpy()
    assert np.abs(taken - np.array(shares) * pixels).max() <= 0.5 + 1e-4


def test_the_largest_values_of_the_filtered_noise_are_taken():
    """The same by NumPy, from the paper's description."""
    share, size = torch.tensor([0.3]), (6, 8)
    noise = torch.randn(1, 6, 5, 2, generator=torch.Generator().manual_seed(4)).numpy()[0]
    frequency = np.maximum(
        np.hypot(np.fft.fftfreq(6)[:, None], np.fft.rfftfreq(8)[None]), 1 / max(size)
    )
    values = np.fft.irfft2((noise[..., 0] + 1j * noise[..., 1]) / frequency**3, s=size)
    expected = values >= np.sort(values.ravel())[::-1][round(0.3 * 48) - 1]
    assert np.array_equal(masks_of(share, size, 4)[0, 0].numpy(), expected)


def test_masks_are_blobs_and_differ():
    masks = masks_of(torch.full((50,), 0.5), (28, 28))[:, 0]
    borders = (masks[:, 1:] != masks[:, :-1]).float().mean()
    assert float(borders) < 0.1  # of pixels drawn one by one it were half
    assert len(torch.unique(masks.flatten(1), dim=0)) == 50


def test_a_mixed_image_has_whole_pixels_of_both_by_its_share():
    images = torch.arange(200.0).view(-1, 1, 1, 1).expand(200, 3, 9, 11).contiguous()
    mixing = Mixing(AugmentConfig(fmix=1.0, mix_probability=0.8), num_epochs=1)
    mixing.start_epoch(3)
    result, mixed = mixing(images, 0.0)
    own = (result == images).all(1)
    other = (result == images[mixed.partners]).all(1)
    assert (own | other).all()
    assert torch.allclose(own.float().mean((1, 2)), mixed.share, atol=1e-6)
    assert 0.1 < float((mixed.share == 1).float().mean()) < 0.3
    mixing.start_epoch(3)
    assert torch.equal(mixing(images, 0.0)[0], result)


def test_of_three_kinds_each_comes_up():
    images = torch.arange(3000.0).view(-1, 1, 1, 1).expand(3000, 1, 8, 8).contiguous()
    mixing = Mixing(AugmentConfig(mixup=1.0, cutmix=1.0, fmix=1.0), num_epochs=1)
    mixing.start_epoch(0)
    result, mixed = mixing(images, 0.0)
    expected = mixed.share * torch.arange(3000) + (1 - mixed.share) * mixed.partners
    assert torch.allclose(result.mean((1, 2, 3)), expected, rtol=1e-4, atol=1e-2)
    blended = (result != images) & (result != images[mixed.partners])
    assert 0.28 < float(blended.flatten(1).any(1).float().mean()) < 0.38
