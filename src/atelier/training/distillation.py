"""Learning from other networks' answers (knowledge distillation)."""

from __future__ import annotations

import shlex

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import DistillationConfig, Recipe
from ..data.batches import Batch, Normalizer, TrainingBatches
from ..errors import ConfigError, RunError
from ..predictor import PixelClassifier
from ..progress import progress_bar
from ..runs import Run
from .learner import Learner, class_weights_of, learn_from_labels
from .objectives import Logs, with_labels
from .preparation import Prepared

_BATCH = 256


class Teachers(nn.Module):
    """Other runs' networks on the student's batches.

    Args:
        runs: of the same classes and image shape as the student.
        normalize: of the student, whose normalization each teacher's own replaces.
        device: of the training.
    """

    def __init__(self, runs: list[Run], normalize: Normalizer, device: torch.device) -> None:
        super().__init__()
        self.student = normalize
        # Each has its own normalization; of the views it predicts by, it sees the student's alone.
        self.networks = [
            PixelClassifier(run.model(), run.card).to(device).requires_grad_(False).eval()
            for run in runs
        ]

    @torch.no_grad()
    def forward(self, images: Tensor, temperature: float) -> Tensor:
        """(N, C, H, W) floats, as the student gets them, to (N, K) probabilities: the mean."""
        bytes_ = images / self.student.scale + self.student.mean
        total: Tensor | int = 0
        for network in self.networks:
            logits = network.model(network.normalize(bytes_.clone())).float()
            total = total + (logits / temperature).softmax(dim=1)
        return torch.as_tensor(total) / len(self.networks)

    @torch.no_grad()
    def of_all(
        self, batches: TrainingBatches, temperature: float, *, progress: bool = False
    ) -> Tensor:
        """(N, K) probabilities for the N images of `batches` as they are, by the views that each
        run judges by: the mean."""
        found = []
        with progress_bar("teachers", len(batches.chosen), show=progress) as bar:
            for chosen in torch.split(batches.chosen, _BATCH):
                logits = torch.stack([of(batches.images[chosen]) for of in self.networks]).float()
                found.append((logits / temperature).softmax(dim=2).mean(dim=0))
                bar.update(len(found) * _BATCH)
        return torch.cat(found)


def distill(prepared: Prepared, recipe: Recipe) -> Learner:
    """The loss is (1 - share) of that with the labels, and share of the cross-entropy with the
    teachers' probabilities at a temperature T, times T squared, so that its gradients keep their
    size (Hinton et al. 2015, arXiv:1503.02531, section 2).

    Raises:
        ConfigError: a network of several members.
        RunError: a teacher is no finished run, or knows other classes or images.
    """
    options = recipe.method
    assert isinstance(options, DistillationConfig)
    if prepared.model.members > 1:
        raise ConfigError(
            "distillation trains one network",
            got=f"{prepared.model.members} members",
            fix="Set model.members=1",
        )
    runs = [_teacher(path, prepared) for path in options.teachers]
    teachers = Teachers(runs, prepared.batches.normalize, prepared.device)
    weights = class_weights_of(prepared, recipe)
    known = None
    if options.ask == "once":
        known = teachers.of_all(prepared.batches, options.temperature, progress=prepared.progress)

    def answers(batch: Batch) -> Tensor:
        if known is None:  # a mixed image is asked for as it is: no answer has to be mixed
            return torch.as_tensor(teachers(batch.images, options.temperature))
        found = known[batch.positions]
        if batch.mixed is None:
            return found
        partners, share = batch.mixed
        return found[partners].lerp(found, share[:, None])

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Logs]:
        logits: Tensor = model(batch.images).float()
        hard, logs = with_labels(
            logits,
            batch,
            label_smoothing=recipe.train.label_smoothing,
            class_weights=weights,
        )
        t = options.temperature
        soft = F.cross_entropy(logits / t, answers(batch), reduction="none") * t**2
        if batch.weights is not None:
            soft = soft * batch.weights
        loss = hard.lerp(soft.mean(), options.share)
        return loss, {**logs, "loss": loss.detach(), "label_loss": hard.detach()}

    plain = learn_from_labels(prepared, recipe)
    notes = tuple(note for run in runs if (note := _held_out_note(run, recipe, prepared)))
    return Learner(plain.model, plain.batches, objective, plain.validate, notes, steady=True)


def _teacher(path: str, prepared: Prepared) -> Run:
    run = Run(path)
    if run.classes != prepared.card.classes:
        raise RunError(
            f"the teacher {path} knows other classes, or in another order",
            got=", ".join(run.classes),
            allowed=", ".join(prepared.card.classes),
        )
    if run.card.image_shape != prepared.card.image_shape:
        raise RunError(
            f"the teacher {path} takes images of another shape",
            got=" x ".join(map(str, run.card.image_shape)),
            allowed=" x ".join(map(str, prepared.card.image_shape)),
            fix="Train it on the same data, read in the same way",
        )
    return run


def _held_out_note(run: Run, recipe: Recipe, prepared: Prepared) -> str | None:
    """Whether the teacher has learned images that are to judge the student."""
    same_split = (run.recipe.data, run.recipe.split_seed, run.recipe.train.validation_share) == (
        recipe.data,
        recipe.split_seed,
        recipe.train.validation_share,
    )
    if prepared.validation is None or same_split:
        return None
    return (
        f"the teacher {shlex.quote(str(run.path))} was trained with another seed or held out "
        "another share: it may have learned some of this run's validation images, whose accuracy "
        "is then too high; the test images are not touched"
    )
