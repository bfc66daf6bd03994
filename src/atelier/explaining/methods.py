"""The methods that say which pixels an answer hangs on, each as a map over the image.

Gradients, integrated gradients and occlusion are captum's; Grad-CAM and rollout are in `layers` and
`attention`, for they must be laid back over the image from each view.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..config import WITHOUT_GRADIENT
from ..errors import ConfigError, did_you_mean
from ..extras import require
from .attention import rollout, why_no_rollout
from .layers import deepest_maps, grad_cam
from .subject import Aim, Subject

_STEPS = 50  # of the integral; captum's default
_SAMPLES = 25
_NOISE = 0.15 * 255  # the paper's figure 3 finds 10 to 20 % of the range good
_WINDOWS = 5  # in a row, side by side
_STRIDES = 14  # in a row


def integrated_gradients(subject: Subject, pixels: Tensor, aim: Aim) -> Tensor:
    """(N, H, W): shares of the score's difference from an image of background alone, which they
    sum to (Sundararajan et al. 2017, arXiv:1703.01365). By Gauss-Legendre at 50 places."""
    attribution: Tensor = (
        _captum()
        .IntegratedGradients(subject.score)
        .attribute(
            pixels,
            subject.blank(pixels),
            additional_forward_args=tuple(aim),
            n_steps=_STEPS,
            internal_batch_size=max(len(pixels), subject.batch_size),
        )
    )
    return attribution.sum(dim=1).float()


def smoothgrad(subject: Subject, pixels: Tensor, aim: Aim) -> Tensor:
    """(N, H, W): the size of the gradient, the largest of the channels, averaged over 25 noisy
    copies (Smilkov et al. 2017, arXiv:1706.03825). The noise is the same at every call."""
    captum = _captum()
    devices = [pixels.device] if pixels.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        attribution: Tensor = captum.NoiseTunnel(captum.Saliency(subject.score)).attribute(
            pixels.clone().requires_grad_(),
            nt_type="smoothgrad",
            nt_samples=_SAMPLES,
            nt_samples_batch_size=max(1, subject.batch_size // len(pixels)),
            stdevs=_NOISE,
            abs=False,
            additional_forward_args=tuple(aim),
        )
    return attribution.detach().abs().amax(dim=1)


@torch.no_grad()
def occlusion(subject: Subject, pixels: Tensor, aim: Aim) -> Tensor:
    """(N, H, W): how much the score falls where a window of a fifth of the side is laid over the
    image in the color of the background (Zeiler & Fergus 2014, arXiv:1311.2901), averaged over
    the windows on a pixel."""
    channels, height, width = pixels.shape[1:]
    window = tuple(max(1, -(-side // _WINDOWS)) for side in (height, width))
    stride = tuple(
        min(w, max(1, side // _STRIDES)) for w, side in zip(window, (height, width), strict=True)
    )
    attribution: Tensor = (
        _captum()
        .Occlusion(subject.score)
        .attribute(
            pixels,
            (channels, *window),
            strides=(channels, *stride),
            baselines=subject.blank(pixels),
            additional_forward_args=tuple(aim),
            perturbations_per_eval=max(1, subject.batch_size // len(pixels)),
        )
    )
    return attribution[:, 0].float()  # a window covers all channels


def _rollout(subject: Subject, pixels: Tensor, aim: Aim) -> Tensor:  # noqa: ARG001 - no class in it
    maps = rollout(subject, pixels)
    # What is attended to everywhere alike says nothing of where, and may be nearly all.
    return maps - maps.amin(dim=(1, 2), keepdim=True)


def _why_no_cam(subject: Subject) -> str:
    if deepest_maps(subject):
        return ""
    return "the network keeps no map of places: its first layer mixes all pixels"


def _why_no_gradient(subject: Subject) -> str:
    if subject.card.model.name not in WITHOUT_GRADIENT:
        return ""
    return "no gradient leads from its answers to the pixels"


def _always(subject: Subject) -> str:  # noqa: ARG001 - any network will do
    return ""


@dataclass(frozen=True)
class Method:
    """A way to explain.

    Attributes:
        name: as the user writes it.
        title: as pictures write it.
        signed: whether what speaks against the class is below zero.
        compute: maps (N, C, H, W) floats of 0 to 255 to (N, H, W).
        why_not: why it does not apply to a network; empty where it does.
        needs_captum: whether captum computes it.
    """

    name: str
    title: str
    signed: bool
    compute: Callable[[Subject, Tensor, Aim], Tensor]
    why_not: Callable[[Subject], str] = _always
    needs_captum: bool = True


METHODS = {
    method.name: method
    for method in (
        Method("grad-cam", "Grad-CAM", False, grad_cam, _why_no_cam, False),
        Method(
            "integrated-gradients",
            "integrated gradients",
            True,
            integrated_gradients,
            _why_no_gradient,
        ),
        Method("occlusion", "occlusion", True, occlusion),
        Method("smoothgrad", "SmoothGrad", False, smoothgrad, _why_no_gradient),
        Method("rollout", "attention rollout", False, _rollout, why_no_rollout, False),
    )
}


def applicable(
    subject: Subject, names: Sequence[str] | None
) -> tuple[list[Method], dict[str, str]]:
    """The methods of these names that apply to the network, and why the others do not.

    Args:
        subject: whose network decides.
        names: keys of `METHODS`; None is all.

    Raises:
        ConfigError: an unknown name, or none of them applies.
        ExtraError: captum is not installed.
    """
    wanted = list(dict.fromkeys(METHODS if names is None else names))
    for name in wanted:
        if name not in METHODS:
            raise ConfigError("unknown method", got=name, fix=did_you_mean(name, METHODS))
    reasons = {name: METHODS[name].why_not(subject) for name in wanted}
    refused = {name: reason for name, reason in reasons.items() if reason}
    chosen = [METHODS[name] for name in wanted if name not in refused]
    if not chosen:
        said = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
        raise ConfigError(
            f"none of these methods applies to the network ({said})",
            fix="Leave --methods out for all that do",
        )
    if any(method.needs_captum for method in chosen):
        _captum()
    return chosen, refused


def maps_by(
    method: Method,
    subject: Subject,
    images: npt.NDArray[np.uint8],
    aim: Aim,
    *,
    on_done: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """(N, H, W) float32 maps of (N, C, H, W) bytes by one method.

    Args:
        on_done: told after each batch how many images are done.
    """
    size = max(1, subject.batch_size // 8)  # the rest of a batch are copies of the images
    parts = []
    for start in range(0, len(images), size):
        some = slice(start, start + size)
        maps = method.compute(subject, subject.floats(images[some]), aim.of(some))
        parts.append(maps.detach().float().cpu().numpy())
        if on_done is not None:
            on_done(min(start + size, len(images)))
    return np.concatenate(parts)


def _captum() -> Any:
    return require("captum.attr")
