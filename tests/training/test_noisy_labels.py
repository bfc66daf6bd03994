"""Losses for labels of which some are wrong, beside their equations written out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import atelier
from atelier.data.batches import Batch
from atelier.errors import ConfigError
from atelier.training.noisy_labels import (
    CoTeaching,
    bootstrapped_cross_entropy,
    generalized_cross_entropy,
    robust,
)

NOISY = ("train.label_noise=0.4", "train.keep=last")


def some(count=6, classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, classes, generator=generator)
    return logits, torch.randint(classes, (count,), generator=generator)


def test_generalized_cross_entropy_is_that_of_the_paper():
    logits, labels = some()
    probs = logits.softmax(1).double().numpy()[np.arange(6), labels]
    losses = generalized_cross_entropy(logits, labels, q=0.7)
    assert losses.numpy() == pytest.approx((1 - probs**0.7) / 0.7, rel=1e-5)
    nearly = generalized_cross_entropy(logits.double(), labels, q=1e-7)
    assert torch.allclose(nearly, F.cross_entropy(logits.double(), labels, reduction="none"))
    absolute = generalized_cross_entropy(logits, labels, q=1.0)
    assert absolute.numpy() == pytest.approx(1 - probs, rel=1e-5)


@pytest.mark.parametrize("hard", [False, True])
def test_bootstrapped_targets_are_those_of_the_paper(hard):
    logits, labels = some()
    probs = logits.softmax(1).double().numpy()
    losses = bootstrapped_cross_entropy(logits, labels, share=0.8, hard=hard)
    for n in range(6):
        said = np.eye(4)[probs[n].argmax()] if hard else probs[n]
        target = 0.8 * np.eye(4)[labels[n]] + 0.2 * said
        assert losses[n].item() == pytest.approx(-(target * np.log(probs[n])).sum(), rel=1e-5)


class Two(nn.Module):
    """Two members whose logits are weights."""

    members = 2

    def __init__(self, count=5, classes=3):
        super().__init__()
        torch.manual_seed(0)
        self.logits = nn.Parameter(2 * torch.randn(count, 2, classes))

    def forward(self, _images, *, each=False):
        return self.logits if each else self.logits.mean(dim=1)


def batch_of(labels):
    return Batch(torch.zeros(len(labels), 1, 2, 2), labels, torch.arange(len(labels)))


def test_each_member_learns_from_what_the_other_finds_easiest():
    """Han et al. 2018, algorithm 1, image by image."""
    model, labels = Two(), torch.tensor([0, 1, 2, 0, 1])
    objective = CoTeaching(forget_rate=0.4, gradual_steps=1)
    objective.after_step(model)
    loss, logs = objective(model, batch_of(labels))
    with torch.no_grad():
        losses = [F.cross_entropy(model.logits[:, m], labels, reduction="none") for m in (0, 1)]
        easiest = [sorted(range(5), key=lambda n, m=m: losses[m][n])[:3] for m in (0, 1)]
        expected = losses[0][easiest[1]].mean() + losses[1][easiest[0]].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert logs["left_out"].item() == pytest.approx(0.4)
    loss.backward()
    for member in (0, 1):
        taught = model.logits.grad[:, member].abs().sum(1).nonzero().flatten().tolist()
        assert taught == sorted(easiest[1 - member])


def test_the_share_that_is_left_out_rises_linearly_and_stays():
    model, batch = Two(), batch_of(torch.tensor([0, 1, 2, 0, 1]))
    objective = CoTeaching(forget_rate=0.4, gradual_steps=4)
    shares = []
    for _ in range(6):
        shares.append(objective(model, batch)[1]["left_out"].item())
        objective.after_step(model)
    assert shares == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.4])
    whole = sum(F.cross_entropy(model.logits[:, m], batch.labels) for m in (0, 1))
    first = CoTeaching(forget_rate=0.4, gradual_steps=4)(model, batch)[0]
    assert first.item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_mixed_image_has_both_labels_and_a_class_its_weight():
    logits, labels = some(4)
    partners, share = torch.tensor([1, 0, 3, 2]), torch.tensor([0.2, 0.7, 1.0, 0.5])
    weights = torch.tensor([1.0, 2.0, 0.5, 1.5])
    batch = Batch(logits, labels, torch.arange(4), mixed=(partners, share))
    losses = robust(lambda x, y: generalized_cross_entropy(x, y, q=0.5), class_weights=weights)
    loss, _ = losses(nn.Identity(), batch)
    own = generalized_cross_entropy(logits, labels, q=0.5) * weights[labels]
    other = generalized_cross_entropy(logits, labels[partners], q=0.5) * weights[labels[partners]]
    counts = share * weights[labels] + (1 - share) * weights[labels[partners]]
    expected = (share * own + (1 - share) * other).sum() / counts.sum()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("recipe", "method"),
    [
        ("mlp", ("method=generalized-cross-entropy",)),
        ("mlp", ("method=bootstrapping", "method.target=soft")),
        ("speednet", ("method=generalized-cross-entropy", "model.members=2")),
        ("speednet", ("method=co-teaching", "model.members=2")),
    ],
)
def test_every_method_trains(train_tiny, tmp_path, recipe, method):
    run = train_tiny(tmp_path / "run", *NOISY, *method, "train.num_epochs=1", recipe=recipe)
    assert np.isfinite(run.history[0]["train/loss"])


def test_training_labels_alone_are_wrong_and_the_run_keeps_which(train_tiny, tmp_path):
    run = train_tiny(
        tmp_path / "run", *NOISY, "train.noise_kind=pair", "train.validation_share=0.2"
    )
    train = atelier.load_dataset("fashion-mnist-sample").train
    labels = dict(zip(train.ids, train.labels, strict=True))
    with np.load(run.path / "label_noise.npz") as kept:
        assert len(kept["ids"]) == 0.4 * run.metrics["train_images"]
        assert kept["true"].tolist() == [labels[place] for place in kept["ids"]]
        assert np.array_equal(kept["given"], (kept["true"] + 1) % 10)
        validation = run.predictions("validation")
        assert not np.isin(validation.ids, kept["ids"]).any()
        assert validation.labels.tolist() == [labels[place] for place in validation.ids]


def test_co_teaching_goes_on_where_it_stopped(train_tiny, tmp_path):
    def stop(_path, history):
        if len(history) == 1:
            raise LookupError("enough")

    method = ("method=co-teaching", "model.members=2", "method.gradual_epochs=2", *NOISY)
    whole = train_tiny(tmp_path / "whole", *method, recipe="speednet")
    with pytest.raises(LookupError, match="enough"):
        train_tiny(tmp_path / "parts", *method, recipe="speednet", on_epoch=stop)
    parts = atelier.train(resume=tmp_path / "parts", progress=False)
    shares = [row["train/left_out"] for row in whole.history]
    assert 0 < shares[0] < shares[1] < 0.4
    assert [row["train/loss"] for row in parts.history] == [
        row["train/loss"] for row in whole.history
    ]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["method=co-teaching", "model.members=1", *NOISY], r"Set model\.members=2"),
        (["method=co-teaching"], r"Set method\.forget_rate"),
        (["method=co-teaching", *NOISY, "augment.cutmix=1"], "without mixed images"),
        (
            ["method=bootstrapping", "train.label_smoothing=0.1"],
            r"Set train\.label_smoothing=0",
        ),
        (["train.label_noise=1"], "label_noise: input should be less than 1"),
        (["method=generalized-cross-entropy", "method.q=0"], "q: input should be greater"),
    ],
)
def test_what_does_not_go_together_is_refused(train_tiny, tmp_path, overrides, said):
    with pytest.raises(ConfigError, match=said):
        train_tiny(tmp_path / "run", "model.members=2", *overrides, recipe="speednet")
    assert not (tmp_path / "run").exists()
