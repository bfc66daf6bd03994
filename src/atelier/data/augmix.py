"""AugMix: an image mixed with several chains of operations on it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .draws import uniform
from .policies import OPERATIONS, Drawn

CHAINS = 3
LONGEST = 3
_ALLOWED = (
    *("auto-contrast", "equalize", "posterize", "rotate", "solarize"),
    *("shear-x", "shear-y", "translate-x", "translate-y"),
)
"""The paper's nine: none is like the corruptions that robustness is measured by."""


def augmix(
    images: Tensor,
    apply: Callable[[Tensor, Drawn], Tensor],
    *,
    strength: float,
    generator: torch.Generator,
) -> Tensor:
    """Mix each image with three chains of one to three operations (Hendrycks et al. 2020,
    arXiv:1912.02781, algorithm 1): the chains by weights of a Dirichlet distribution, their mixture
    with the image by a share of a Beta distribution, both of parameter 1.

    Within a chain what moves pixels comes first, as in all policies here.

    Args:
        images: (N, C, H, W) floats, left as they are.
        apply: does what each image has drawn.
        strength: of the strongest operation, as a share of its largest; severity / 10 in the paper.
        generator: of the draws, on the images' device.
    """
    count = len(images)
    # Exponential draws, divided by their sum, are a draw of Dirichlet(1, 1, 1).
    draws = -torch.log1p(-uniform(generator, CHAINS, count))
    weights = draws / draws.sum(dim=0)
    mixture = torch.zeros_like(images)
    for weight in weights:
        chain = apply(images, draw_chain(count, strength=strength, generator=generator))
        mixture += weight.view(-1, 1, 1, 1) * chain
    share = uniform(generator, count, 1, 1, 1)
    return images.lerp(mixture, share)


def draw_chain(count: int, *, strength: float, generator: torch.Generator) -> Drawn:
    """One chain for each of `count` images; a short one ends in operations that do nothing."""
    device = generator.device
    allowed = torch.tensor([OPERATIONS.index(name) for name in _ALLOWED], device=device)
    shape = (count, LONGEST)
    drawn = allowed[torch.randint(len(allowed), shape, generator=generator, device=device)]
    length = torch.randint(1, LONGEST + 1, (count, 1), generator=generator, device=device)
    beyond = torch.arange(LONGEST, device=device) >= length
    operations = drawn.masked_fill(beyond, OPERATIONS.index("identity"))
    return Drawn(operations, uniform(generator, *shape, low=-strength, high=strength))
