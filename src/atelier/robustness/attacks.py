"""Pictures that are changed to be misread, by no more than a stated number of levels in any pixel.

Untargeted, and with all that the run does to pixels in view: normalization, and the mean over
mirrored and shifted views. What an attack leaves are bytes, as a file would hold them, and they are
judged as any picture is.

AutoAttack (Croce and Hein 2020, arXiv:2003.01690) is not here: of the packages that have it,
torchattacks 3.5.1 (2023) pins requests to 2.25 and pyautoattack 0.2.0 (2024) declares no
dependencies at all. A defense that claims to withstand attacks is to be judged by it; these two
show how an ordinary network fares. PGD's second start climbs the margin, for on the cross-entropy
of a network that is very sure no gradient is left (Carlini and Wagner 2017, arXiv:1608.04644).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.image_draws import Draws
from ..errors import ConfigError, did_you_mean
from ..predictor import PixelClassifier

AttackName = Literal["fgsm", "pgd"]
ATTACKS: tuple[AttackName, ...] = get_args(AttackName)
_LARGEST = 255
_STEP = 2.5  # times the radius, over the number of steps: the whole ball can be crossed


@dataclass(frozen=True)
class AttackConfig:
    """How PGD searches.

    Attributes:
        steps: of each start.
        restarts: how often it starts; at the picture itself and on the cross-entropy, then at
            random places and on the margin and the cross-entropy in turn.
    """

    steps: int = 20
    restarts: int = 2

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1:
            raise ConfigError(
                "PGD takes at least one step and one start",
                got=f"{self.steps} steps, {self.restarts} starts",
            )


def checked_attacks(names: Sequence[str], radii: Sequence[int]) -> None:
    """Refuse what cannot be attacked with.

    Raises:
        ConfigError: an unknown attack, or a radius that is no whole number of levels in 1 to 255.
    """
    for name in names:
        if name not in ATTACKS:
            raise ConfigError("unknown attack", got=name, fix=did_you_mean(name, ATTACKS))
    for radius in radii:
        if radius != int(radius) or not 1 <= radius <= _LARGEST:
            raise ConfigError(
                "a radius is a whole number of levels, of 255",
                got=radius,
                allowed=f"1 to {_LARGEST}",
            )
    if names and not radii:
        raise ConfigError("an attack needs a radius", fix="As --radii 1,2,4,8")


def withstood(
    network: PixelClassifier,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    attack: AttackName,
    radii: Sequence[int],
    *,
    config: AttackConfig | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.bool_]:
    """Which images are still read rightly, of one batch.

    A picture that was broken within a smaller radius is broken within a larger one, and is not
    attacked again.

    Args:
        network: on `device`, in evaluation mode.
        images: (N, C, H, W).
        labels: (N,).
        ids: (N,) that the random starts follow from.
        attack: ``fgsm``, one step along the sign of the gradient (Goodfellow et al. 2015,
            arXiv:1412.6572, eq. 1), or ``pgd`` (Madry et al. 2018, arXiv:1706.06083, eq. 2), whose
            steps are 2.5 radii over their number, projected back after each.
        radii: (R,) largest change of a pixel, in levels of 255, ascending.
        config: of PGD; None is the default.
        seed: of the random starts.
        device: of the network.

    Returns:
        (R, N).
    """
    config = config or AttackConfig()
    pixels = torch.from_numpy(np.array(images)).to(device)
    truth = torch.from_numpy(np.array(labels)).to(device)
    numbers = torch.from_numpy(np.array(ids)).to(device)
    standing = _right(network, pixels, truth)
    rows = []
    for radius in radii:
        at = standing.nonzero().flatten()
        if len(at):
            target = _Target(network, pixels[at].float(), truth[at], float(radius))
            if attack == "fgsm":
                standing[at] = target.right(_fgsm(target))
            else:
                draws = Draws(numbers[at], seed, f"pgd {radius}")
                standing[at] = _pgd(target, config, draws)
        rows.append(standing.cpu().numpy().copy())
    return np.stack(rows) if rows else np.empty((0, len(images)), bool)


@dataclass(frozen=True, eq=False)
class _Target:
    """What is attacked: `images` as floats in 0..255, within `radius` levels."""

    network: PixelClassifier
    images: Tensor
    labels: Tensor
    radius: float

    def gradient(self, pixels: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Of the loss, which is summed over the images, at `pixels`."""
        leaf = pixels.detach().requires_grad_()
        # A copy, for normalizing works in place.
        (found,) = torch.autograd.grad(loss(self.network(leaf.clone()), self.labels), leaf)
        return found

    def within(self, pixels: Tensor) -> Tensor:
        """The nearest that is within the radius and is a picture."""
        near = torch.clamp(pixels, self.images - self.radius, self.images + self.radius)
        return near.clamp_(0, _LARGEST)

    def right(self, pixels: Tensor) -> Tensor:
        """(N,) whether they are read rightly, as bytes. With whole radii, rounding stays within."""
        return _right(self.network, pixels.round().to(torch.uint8), self.labels)

    def part(self, chosen: Tensor) -> _Target:
        """The images at `chosen`."""
        return _Target(self.network, self.images[chosen], self.labels[chosen], self.radius)


def _fgsm(target: _Target) -> Tensor:
    gradient = target.gradient(target.images, _cross_entropy)
    return target.within(target.images + target.radius * gradient.sign())


def _pgd(target: _Target, config: AttackConfig, draws: Draws) -> Tensor:
    """(N,) whether each image is read rightly after the worst that was found."""
    standing = torch.ones(len(target.images), dtype=torch.bool, device=target.images.device)
    step = _STEP * target.radius / config.steps
    for start in range(config.restarts):
        at = standing.nonzero().flatten()
        if not len(at):
            break
        part = target.part(at)
        loss = _margin if start % 2 else _cross_entropy
        pixels = part.images
        if start:
            chosen = Draws(draws.ids[at], draws.seed, draws.stream)
            away = 2 * chosen.uniform(*pixels.shape[1:], part=f"start {start}") - 1
            pixels = part.within(pixels + part.radius * away)
        for _ in range(config.steps):
            pixels = part.within(pixels + step * part.gradient(pixels, loss).sign())
        standing[at] = part.right(pixels)
    return standing


@torch.no_grad()
def _right(network: PixelClassifier, pixels: Tensor, labels: Tensor) -> Tensor:
    # Cloned, to be no inference tensor: it is written to outside.
    right: Tensor = network(pixels).argmax(dim=1) == labels
    return right


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, reduction="sum")


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    """By how much the likeliest wrong class is before the true one."""
    true = logits.gather(1, labels[:, None])
    wrong = logits.scatter(1, labels[:, None], -torch.inf)
    return (wrong.amax(dim=1, keepdim=True) - true).sum()
