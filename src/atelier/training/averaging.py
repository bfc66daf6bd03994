"""Averages of weights, and the batch-norm statistics that fit them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..config import TrainConfig

Images = Callable[[], Iterable[Tensor]]
"""Gives batches of training images, each (N, C, H, W), anew with each call."""


class Average(Protocol):
    """Weights that follow those of the training; a module, whose state the checkpoint keeps."""

    def after_step(self, model: nn.Module) -> None:
        """Follow a step of the trained network."""

    def after_epoch(self, model: nn.Module, epoch: int, images: Images) -> nn.Module:
        """The network to validate and keep after `epoch`, counted from 1.

        Args:
            model: the network to keep if there were no average.
            epoch: that is over.
            images: to estimate batch norms by.
        """


class Averages(nn.ModuleList):
    """One average after the other, each following what the one before it keeps; none at all keeps
    the trained network."""

    def after_step(self, model: nn.Module) -> None:
        """As `Average` has it."""
        for average in self._all():
            average.after_step(model)

    def after_epoch(self, model: nn.Module, epoch: int, images: Images) -> nn.Module:
        """As `Average` has it."""
        for average in self._all():
            model = average.after_epoch(model, epoch, images)
        return model

    def _all(self) -> Iterator[Average]:
        return cast(Iterator[Average], iter(self))


def averages_of(model: nn.Module, config: TrainConfig) -> Averages:
    """What `config` asks for: lookahead, which moves the trained weights too, then an average."""
    averages = Averages()
    if config.lookahead_steps:
        averages.append(Lookahead(model, config.lookahead_steps, config.lookahead_share))
    if config.ema_decay:
        averages.append(MovingAverage(model, config.ema_decay))
    if config.swa_from:
        averages.append(EpochAverage(model, config.swa_from * config.num_epochs))
    return averages


class MovingAverage(AveragedModel):
    """An exponential moving average over the steps, of weights and buffers alike.

    Args:
        model: that is trained.
        decay: what is kept of the average in each step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        rule = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        super().__init__(model, multi_avg_fn=rule, use_buffers=True)

    def after_step(self, model: nn.Module) -> None:
        """As `Average` has it."""
        self.update_parameters(model)

    def after_epoch(self, model: nn.Module, epoch: int, images: Images) -> nn.Module:  # noqa: ARG002
        """As `Average` has it."""
        return self.module


class EpochAverage(AveragedModel):
    """The mean of the weights at the ends of the late epochs (stochastic weight averaging, Izmailov
    et al. 2018, arXiv:1803.05407, algorithm 1).

    Args:
        model: that is trained.
        after: epochs that are over before the first that counts.
    """

    def __init__(self, model: nn.Module, after: float) -> None:
        super().__init__(model)
        self.after = after

    def after_step(self, model: nn.Module) -> None:
        """As `Average` has it."""

    def after_epoch(self, model: nn.Module, epoch: int, images: Images) -> nn.Module:
        """As `Average` has it."""
        if epoch <= self.after:
            return model
        self.update_parameters(model)
        _fit_norms(self.module, model, images)
        return self.module


class Lookahead(nn.Module):
    """Slow weights, which follow the trained ones every few steps and take them back (Zhang et al.
    2019, arXiv:1907.08610, algorithm 1). The optimizer's own memory goes on.

    Args:
        model: that is trained.
        steps: ``k``, of the trained weights between two of the slow ones.
        share: ``alpha``, of the way between the two that the slow ones go.
    """

    count: Tensor

    def __init__(self, model: nn.Module, steps: int, share: float) -> None:
        super().__init__()
        self.module = copy.deepcopy(model)
        self.register_buffer("count", torch.tensor(0))
        self.steps = steps
        self.share = share

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """As `Average` has it."""
        self.count += 1
        if self.count % self.steps == 0:
            slow: list[Tensor] = list(self.module.parameters())
            fast: list[Tensor] = list(model.parameters())
            torch._foreach_lerp_(slow, fast, self.share)
            torch._foreach_copy_(fast, slow)

    def after_epoch(self, model: nn.Module, epoch: int, images: Images) -> nn.Module:  # noqa: ARG002
        """As `Average` has it."""
        _fit_norms(self.module, model, images)
        return self.module


@torch.no_grad()
def _fit_norms(average: nn.Module, model: nn.Module, images: Images) -> None:
    """Give a copy of `model` with other weights the buffers that belong to them."""
    for own, trained in zip(average.parameters(), model.parameters(), strict=True):
        own.requires_grad_(trained.requires_grad)  # what is frozen keeps its statistics
    for buffer, newest in zip(average.buffers(), model.buffers(), strict=True):
        buffer.copy_(newest)
    reestimate_batch_norm(average, images())


@contextmanager
def statistics_kept(model: nn.Module) -> Iterator[None]:
    """A pass in which batch norms use the batch's statistics and do not remember them."""
    norms = [
        module
        for module in model.modules()
        # One that is frozen is in evaluation mode and goes on with what it remembers.
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


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
