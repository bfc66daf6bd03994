"""MixUp and CutMix: two images and the share of each."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.config import AugmentConfig
from atelier.data.mixing import Mixing

KINDS = {
    "mixup": AugmentConfig(mixup=0.4),
    "cutmix": AugmentConfig(cutmix=1.0),
    "both": AugmentConfig(mixup=0.4, cutmix=1.0),
    "some": AugmentConfig(mixup=1.0, cutmix=1.0, mix_probability=0.5),
}


def mixing(config, seed=0, num_epochs=10):
    made = Mixing(config, num_epochs)
    made.start_epoch(seed)
    return made


def numbered(count, size=(6, 8)):
    """Each image is full of its own number."""
    return torch.arange(float(count)).view(-1, 1, 1, 1).expand(count, 3, *size).contiguous()


@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(1, 30),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.integers(0, 1000),
)
def test_the_share_is_that_of_the_pixels(kind, count, size, seed):
    images = numbered(count, size)
    result, mixed = mixing(KINDS[kind], seed)(images, 0.0)
    assert torch.equal(images, numbered(count, size))
    assert result.shape == images.shape
    share = mixed.share
    assert share.dtype == torch.float32
    assert 0 <= share.min() <= share.max() <= 1
    assert sorted(mixed.partners.tolist()) == list(range(count))
    expected = share * torch.arange(count) + (1 - share) * mixed.partners
    assert torch.allclose(result.mean((1, 2, 3)), expected, atol=1e-3)


def test_mixup_is_the_papers_equation():
    """Zhang et al. 2018, equation 1, pixel by pixel with each image's own lambda."""
    images = torch.randn(7, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    result, mixed = mixing(KINDS["mixup"], 2)(images, 0.0)
    for i in range(7):
        j, lam = int(mixed.partners[i]), float(mixed.share[i])
        assert j == (i - 1) % 7
        expected = lam * images[i].numpy() + (1 - lam) * images[j].numpy()
        assert np.allclose(result[i].numpy(), expected, atol=1e-6)


def test_mixup_mixes_every_pixel_alike_and_cutmix_takes_a_rectangle_whole():
    images = numbered(64)
    result, mixed = mixing(KINDS["mixup"])(images, 0.0)
    assert (result.amax((1, 2, 3)) - result.amin((1, 2, 3))).max() < 1e-5
    result, mixed = mixing(KINDS["cutmix"])(images, 0.0)
    for own, (image, partner) in enumerate(zip(result[:, 0], mixed.partners, strict=True)):
        other = image == float(partner)
        assert (other | (image == own)).all()
        rows, columns = other.any(1).nonzero().flatten(), other.any(0).nonzero().flatten()
        if len(rows):
            assert other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
    assert len(mixed.share.unique()) > 10  # a share of its own for each


def test_shares_follow_the_beta_distribution():
    images = numbered(5000, (1, 1))
    _, mixed = mixing(AugmentConfig(mixup=0.4))(images, 0.0)
    assert float(mixed.share.mean()) == pytest.approx(0.5, abs=0.02)
    variance = 1 / (4 * (2 * 0.4 + 1))
    assert float(mixed.share.var()) == pytest.approx(variance, rel=0.05)


def test_some_stay_whole_and_both_kinds_come_up():
    images = numbered(4000, (8, 8))
    result, mixed = mixing(KINDS["some"])(images, 0.0)
    whole = mixed.share == 1
    assert torch.equal(result[whole], images[whole])
    # Half by the coin, and a few rectangles that lie outside or are thinner than a pixel.
    assert 0.48 < float(whole.float().mean()) < 0.6
    even = (result.amax((1, 2, 3)) - result.amin((1, 2, 3)) < 1e-2) & ~whole
    assert 0.2 < float(even.float().mean()) < 0.3


def test_the_seed_decides_and_torchs_generator_is_left_alone():
    images = numbered(16)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    mixes = mixing(KINDS["both"], 5)
    first, _ = mixes(images, 0.0)
    second, _ = mixes(images, 0.0)
    mixes.start_epoch(5)
    np.random.default_rng(9).random()
    assert torch.equal(mixes(images, 0.0)[0], first)
    assert not torch.equal(first, second)
    assert torch.equal(torch.rand(1), expected)


def test_at_the_end_nothing_is_mixed():
    mixes = mixing(AugmentConfig(mixup=1.0, mix_until=0.75), num_epochs=4)
    images = numbered(8)
    assert mixes(images, 2.9)[1] is not None
    result, mixed = mixes(images, 3.0)
    assert mixed is None
    assert result is images
    assert mixing(AugmentConfig(mixup=1.0), num_epochs=4)(images, 3.99)[1] is not None
