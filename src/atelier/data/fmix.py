"""FMix's masks: of an area that is given, in shapes that low frequencies make."""

from __future__ import annotations

import torch
from torch import Tensor

DECAY = 3.0
"""How fast the amplitude of noise falls with its frequency, as in the paper."""


def low_frequency_masks(
    share: Tensor, size: tuple[int, int], generator: torch.Generator, *, decay: float = DECAY
) -> Tensor:
    """Masks of one to a few blobs (Harris et al. 2020, arXiv:2002.12047, section 4).

    Complex Gaussian noise is divided by its frequency to the power of `decay` and brought back to
    pixels; the largest of these are in the mask.

    Args:
        share: (N,) of the area that each mask takes, in 0..1.
        size: height and width, H and W.
        generator: of the noise, on the device of `share`.
        decay: larger for smoother shapes.

    Returns:
        (N, 1, H, W) booleans; each has its share to the nearest pixel.
    """
    height, width = size
    down = torch.fft.fftfreq(height, device=share.device)
    along = torch.fft.rfftfreq(width, device=share.device)
    # The mean, whose frequency is 0, as the lowest wave that the longer side holds.
    frequency = torch.hypot(down[:, None], along).clamp(min=1 / max(size))
    parts = (len(share), *frequency.shape, 2)
    noise = torch.randn(parts, generator=generator, device=share.device)
    spectrum = torch.view_as_complex(noise) / frequency**decay
    values = torch.fft.irfft2(spectrum, s=size).flatten(1)
    ranks = values.argsort(dim=1, descending=True).argsort(dim=1)
    taken = (share * (height * width)).round().view(-1, 1)
    inside: Tensor = ranks < taken
    return inside.view(-1, 1, height, width)
