"""Averages of weights, and the batch-norm statistics that fit them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def reestimate_batch_norm(model: nn.Module, batches_of_images: Iterable[Tensor]) -> None:
    """Replace the running statistics of batch norms by those of these images, in place.

    Each becomes the plain mean over the batches (as in ``torch.optim.swa_utils.update_bn``). All
    else is in evaluation mode meanwhile, as in predictions: dropout would change what the norms
    see (Li et al. 2018, arXiv:1801.05134). Norms of frozen parts, which `Classifier.train` leaves
    in evaluation mode, keep what they have. Every module is put back into the mode that it was in.

    Args:
        model: any network; without batch norms nothing is computed.
        batches_of_images: each (N, C, H, W), as the model takes them, on its device; at least one.
    """
    modes = {module: module.training for module in model.modules()}
    norms = {
        module: module.momentum
        for module in model.train().modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    }
    model.eval()
    try:
        for norm in norms:
            norm.train()
            norm.reset_running_stats()
            norm.momentum = None  # torch's word for the mean over all batches
        for images in batches_of_images if norms else ():
            model(images)
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
