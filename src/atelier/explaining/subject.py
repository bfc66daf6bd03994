"""A run's network as explanations see it: the exact way from pixels to scores, differentiable."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..evaluation import calibration_of
from ..predictor import PixelClassifier, Predictor
from ..runs import Run

_MOST = 128
_BYTES = 2**20  # of pixels in a batch; gradients keep what a network makes of them


class Aim(NamedTuple):
    """What is explained of N images.

    Attributes:
        target: (N,) int64, the class whose logit it is.
        against: (N,) int64, the class whose logit is taken away from it; -1 for none.
    """

    target: Tensor
    against: Tensor

    def of(self, where: slice) -> Aim:
        """Of some of the images."""
        return Aim(self.target[where], self.against[where])


class Subject:
    """What a run makes of pixels: normalization, its network, the mean over its views.

    Args:
        predictor: of the run. Its network is kept from computing gradients of its weights.
        temperature: what logits are divided by before the softmax.
    """

    def __init__(self, predictor: Predictor, temperature: float = 1.0) -> None:
        self.predictor = predictor
        self.card = predictor.card
        self.classifier: PixelClassifier = predictor.pixels
        self.classifier.requires_grad_(False)
        self.temperature = temperature
        self.device = predictor.device

    @classmethod
    def of_run(cls, run: Run, *, device: str = "auto") -> Self:
        """The network and the temperature of a run, whose folder is only read.

        Raises:
            RunError: the weights are missing, corrupt, or not of this network.
            DeviceError: this machine has no such device.
        """
        calibration = calibration_of(run)
        temperature = 1.0 if calibration is None else calibration.temperature
        return cls(Predictor.of_run(run, device=device), temperature)

    @property
    def batch_size(self) -> int:
        """Images that go through the network forth and back in any memory."""
        channels, height, width = self.card.image_shape
        fitting = min(_MOST, _BYTES // (channels * height * width))
        return max(1, fitting // self.classifier.num_views)

    def floats(self, images: npt.NDArray[np.uint8]) -> Tensor:
        """(N, C, H, W) bytes as floats of 0 to 255 on the device."""
        return torch.from_numpy(np.array(images)).to(self.device, torch.float32)

    def logits(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) floats of 0 to 255 to (N, K) logits."""
        # A copy, for the normalization works in place.
        result: Tensor = self.classifier(pixels.clone()).float()
        return result

    def score(self, pixels: Tensor, target: Tensor, against: Tensor) -> Tensor:
        """(N, C, H, W) floats of 0 to 255 to the (N,) numbers that an `Aim` names."""
        logits = self.logits(pixels)
        wanted = logits.gather(1, target[:, None])[:, 0]
        other = logits.gather(1, against.clamp(min=0)[:, None])[:, 0]
        return torch.where(against < 0, wanted, wanted - other)

    def blank(self, pixels: Tensor) -> Tensor:
        """Images of nothing but the background that the training images have at their edges."""
        return torch.full_like(pixels, float(self.card.background))

    @torch.inference_mode()
    def probs(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """(N, K) calibrated probabilities of (N, C, H, W) bytes."""
        logits = torch.from_numpy(self.predictor.logits(images)).double() / self.temperature
        result: npt.NDArray[np.float64] = logits.softmax(dim=1).numpy()
        return result

    def aim(
        self, target: npt.NDArray[np.int64], against: npt.NDArray[np.int64] | None = None
    ) -> Aim:
        """On the device; without `against` the logits of `target` themselves."""
        other = np.full(len(target), -1) if against is None else against
        return Aim(
            *(torch.from_numpy(np.array(a, np.int64)).to(self.device) for a in (target, other))
        )

    def unviewed(self, maps: Tensor) -> Tensor:
        """(V * N, H, W) maps of all images in each view to (V, N, H, W), each laid over the image
        as it was: mirrored back, then shifted back."""
        classifier = self.classifier
        by_view = maps.reshape(classifier.num_views, -1, *maps.shape[-2:])
        result = []
        for position, of_view in enumerate(by_view):
            shift, mirrored = divmod(position, 2) if classifier.mirrored else (position, 0)
            upright = of_view.flip(-1) if mirrored else of_view
            if shift:
                height, width = upright.shape[-2:]
                at = 2 * (2 - shift)
                padded = F.pad(upright, (1, 1, 1, 1), mode="replicate")
                upright = padded[:, at : at + height, at : at + width]
            result.append(upright)
        return torch.stack(result)
