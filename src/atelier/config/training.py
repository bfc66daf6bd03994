"""How the weights are found."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .strict import DropRate, Strict


class TrainConfig(Strict):
    """How the weights are found."""

    num_epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Images per batch."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches per step, whose gradients are averaged: a step learns from batch_size times as many
    images, in the memory of one batch. Batch norms still see single batches. The last step of an
    epoch takes the batches that are left."""
    optimizer: Literal["adam", "adamw", "nadam", "rmsprop", "lion", "sgd", "muon", "muon-adamw"] = (
        "adamw"
    )
    """Adam, AdamW (decoupled weight decay), NAdam (Nesterov's momentum in AdamW), RMSprop, Lion
    (the sign of its momentum; it wants a third to a tenth of AdamW's rate, and as many times its
    decay), SGD with momentum, Muon (orthogonalized momentum on the filters of convolutions, SGD on
    the rest), or Muon on all dense layers and convolutions below the head and AdamW on the rest,
    with AdamW's rates and decay."""
    lr: Annotated[float, Field(gt=0, le=100)] = 2e-3
    """Peak learning rate."""
    sgd_lr: Annotated[float, Field(gt=0, le=100)] = 0.1
    """With muon, the peak learning rate of all but the filters."""
    momentum: DropRate = 0.9
    """Of SGD and Muon."""
    nesterov: bool = True
    """Of SGD."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.01
    """On weights of two dimensions or more; biases and norms are left alone."""
    sharpness: Literal["none", "sam", "asam"] = "none"
    """Look for weights around which the loss is flat: each step takes the gradient where the loss
    is highest nearby (SAM, arXiv:2010.01412), or nearby as measured by the size of each weight
    (ASAM, arXiv:2102.11600). Works with every optimizer, and costs a second pass."""
    sharpness_radius: Annotated[float, Field(gt=0, le=10)] | None = None
    """How far nearby is (rho); None takes the papers' 0.05 for sam and 0.5 for asam. It is measured
    against all weights together, and muon keeps its filters large: 0.2 was good for gpu-96-flat."""
    lookahead_steps: Annotated[int, Field(ge=0, le=10_000)] = 0
    """After so many steps, go back part of the way to where the weights were before them, and on
    from there (Lookahead, arXiv:1907.08610); 0 never does. 5 to 10 are usual. The slow weights are
    validated and kept."""
    lookahead_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the way that lookahead keeps."""
    schedule: Literal["constant", "step", "plateau", "cosine", "restarts", "one-cycle"] = (
        "one-cycle"
    )
    """How the learning rate moves after warm-up. one-cycle falls linearly to zero; restarts is a
    cosine to zero that begins anew with each cycle."""
    cycle_epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs of the first cycle of the restarts schedule, its warm-up included."""
    cycle_growth: Annotated[int, Field(ge=1, le=16)] = 1
    """How many times as long each cycle of the restarts schedule is as the one before it."""
    snapshots: bool = False
    """Keep the weights, as they are trained, at the end of each cycle of the restarts schedule, for
    an ensemble of them."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 0.5
    """Epochs, fractions allowed, over which the learning rate rises linearly."""
    step_epochs: Annotated[int, Field(ge=1)] = 5
    """Epochs between the drops of the step schedule; patience of the plateau schedule."""
    step_factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """What a drop of the step or plateau schedule multiplies the learning rate by."""
    label_smoothing: DropRate = 0.0
    """Share of the target spread evenly over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weigh the loss by the inverse frequency of each class."""
    sampling: Literal["natural", "balanced"] = "natural"
    """Each image once an epoch, or each class as often as the others in as many images: of a large
    class a part, of a small one each image several times."""
    held_out: tuple[str | int, ...] = ()
    """Classes, by name or number from 0, of which no image is trained on or validated by: to learn
    from few images of them later (`atelier few-shot`). The network keeps a place for them, which it
    learns never to choose."""
    label_noise: DropRate = 0.0
    """Share of the training labels that are made wrong on purpose, to see what a method does with
    them. Those of the validation images stay right; `label_noise.npz` says which were changed."""
    noise_kind: Literal["symmetric", "pair"] = "symmetric"
    """What a wrong label is: any of the other classes, or always the next (arXiv:1804.06872)."""
    prune: DropRate = 0.0
    """Share of the images with a loss below the mean that an epoch leaves out; the others of them
    count more for it (InfoBatch). The first epoch and the last eighth of the epochs see all."""
    start_size: Annotated[int, Field(ge=0, le=4096)] = 0
    """Longer side of the images in the first epoch, in pixels, from which they grow to their full
    size in steps of 16; 0 trains at the full size. Small images cost less."""
    grow_until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the epochs at whose end images have their full size."""
    clip_grad_norm: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation accuracy before training stops; 0 never stops early."""
    keep: Literal["best", "last"] = "best"
    """Weights to keep: of the epoch with the best validation accuracy, or of the last."""
    ema_decay: DropRate = 0.0
    """Per-step decay of an exponential moving average of the weights; 0 for none."""
    swa_from: DropRate = 0.0
    """Share of the epochs after which the weights at the end of each epoch are averaged, and the
    average kept, its batch norms estimated anew (stochastic weight averaging, arXiv:1803.05407);
    0 for none. It gains most while the learning rate is still high, as with schedule=constant."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of convolutions and matrix products in training; weights and predictions stay in float32.
    auto takes bfloat16 where the processor has instructions for it."""
    compile: bool = False
    """Compile the network with torch.compile, for some time at the start. Measure whether it pays:
    on a CPU it did not (LOG.md)."""
    validate_every: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Epochs between two measurements on the validation images; the last epoch is always
    measured. Above 1 nothing can be chosen by them: it needs keep=last."""
    validation_share: Annotated[float, Field(ge=0, lt=1)] = 1 / 12
    """Share of the training images held out, stratified: 5,000 of Fashion-MNIST's 60,000.
    0 trains on all images: then the schedule is fixed and the last weights are kept."""
    split_seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Seed of the cut alone; None is the run's. With one for all, runs of other seeds hold out the
    same images, which an ensemble or a soup of them can then be judged by."""
    labels: Annotated[int, Field(ge=0)] = 0
    """How many of the training images have a label that is looked at: as many of each class, drawn
    by the seed; 0 for all. A semi-supervised method learns from the others too."""
    init: str | None = None
    """A run folder whose weights to start from; its network must be of the same architecture."""
    freeze: Literal["none", "backbone"] = "none"
    """backbone trains the head alone (a linear probe), on embeddings that are computed once where
    nothing changes the images."""
    unfreeze_epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    """With freeze=backbone: after so many epochs the topmost stage is trained too, after twice as
    many the one below it, and so on (gradual unfreezing); 0 leaves all of them frozen."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The learning rate of each layer, or block, as a share of that of the next one up; the head
    has train.lr. 1 for one rate everywhere."""
    cached_views: Annotated[int, Field(ge=0, le=64)] = 0
    """With a frozen backbone and an augmentation: embed so many augmented views of each image once
    and train on them, a view drawn anew in each epoch. 0 augments anew in each epoch, through the
    whole network."""

    @model_validator(mode="after")
    def _one_choice_of_images(self) -> Self:
        if self.sampling == "balanced" and self.prune:
            raise ValueError(
                "sampling=balanced and prune both decide which images an epoch takes: "
                "set train.prune=0 or train.sampling=natural"
            )
        if self.sampling == "balanced" and self.class_weights == "balanced":
            raise ValueError(
                "sampling=balanced and class_weights=balanced would make up for rare classes "
                "twice: set train.class_weights=none or train.sampling=natural"
            )
        return self

    @model_validator(mode="after")
    def _choices_need_validation(self) -> Self:
        if self.validation_share == 0 or self.validate_every > 1:
            needs = [
                word
                for word, used in (
                    ("keep=best", self.keep == "best"),
                    ("patience", self.patience > 0),
                    ("schedule=plateau", self.schedule == "plateau"),
                )
                if used
            ]
            if needs:
                cause = "validation_share=0" if self.validation_share == 0 else "validate_every"
                raise ValueError(
                    f"{cause} leaves nothing to choose by, and {needs[0]} chooses: "
                    "set train.keep=last, train.patience=0 and a fixed schedule"
                    + ("" if self.validate_every == 1 else ", or train.validate_every=1")
                )
        if self.warmup_epochs >= self.num_epochs and self.warmup_epochs > 0:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be less than num_epochs "
                f"({self.num_epochs}): set train.warmup_epochs too"
            )
        if self.snapshots and self.schedule != "restarts":
            raise ValueError("snapshots are of cycles: set train.schedule=restarts")
        if self.schedule == "restarts" and self.warmup_epochs >= self.cycle_epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be less than cycle_epochs "
                f"({self.cycle_epochs}): set train.warmup_epochs too"
            )
        return self

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.ema_decay and self.swa_from:
            raise ValueError(
                "ema_decay and swa_from both average the weights: set train.ema_decay=0 or "
                "train.swa_from=0"
            )
        return self

    @model_validator(mode="after")
    def _layers_can_be_trained_so(self) -> Self:
        if self.freeze == "none" and (self.unfreeze_epochs or self.cached_views):
            word = "unfreeze_epochs" if self.unfreeze_epochs else "cached_views"
            raise ValueError(f"{word} needs a frozen backbone: set train.freeze=backbone")
        if self.unfreeze_epochs and self.cached_views:
            raise ValueError("cached_views needs a backbone that stays frozen: unfreeze_epochs=0")
        if self.optimizer == "muon" and self.layer_decay < 1:
            raise ValueError(
                "layer_decay is for the other optimizers, and muon has rates of its own: "
                "set train.optimizer=adamw or train.layer_decay=1"
            )
        if self.optimizer == "muon" and self.freeze != "none" and not self.unfreeze_epochs:
            raise ValueError(
                "muon trains the filters, and all of them are frozen: set train.optimizer=adamw"
            )
        return self
