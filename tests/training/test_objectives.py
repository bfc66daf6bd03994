"""Objectives: the loss that is asked for, and what is logged of it."""

import math

import pytest
import torch
from torch import nn

from atelier.data.batches import Batch
from atelier.training.objectives import balanced_class_weights, each_member, supervised

# The "network" hands its images through: they are the logits.
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
LABELS = torch.tensor([0, 1, 2])
BATCH = Batch(LOGITS, LABELS, torch.arange(3))


def loss_of(**options):
    loss, _ = supervised(**options)(nn.Identity(), BATCH)
    return float(loss)


def log_probs():
    return LOGITS.log_softmax(dim=1)


def test_plain_cross_entropy_and_its_accuracy():
    loss, logs = supervised()(nn.Identity(), BATCH)
    assert float(loss) == pytest.approx(-float(log_probs()[range(3), LABELS].mean()))
    assert float(logs["loss"]) == float(loss)
    assert float(logs["accuracy"]) == pytest.approx(2 / 3)


def test_label_smoothing_spreads_its_share_over_all_classes():
    true = -log_probs()[range(3), LABELS].mean()
    spread = -log_probs().mean()
    assert loss_of(label_smoothing=0.1) == pytest.approx(float(0.9 * true + 0.1 * spread))


def test_class_weights_weigh_the_mean():
    weights = torch.tensor([1.0, 2.0, 5.0])
    each = -log_probs()[range(3), LABELS]
    expected = float((weights * each).sum() / weights.sum())
    assert loss_of(class_weights=weights) == pytest.approx(expected)


def test_what_is_logged_holds_no_graph():
    images = LOGITS.clone().requires_grad_()
    loss, logs = supervised()(nn.Identity(), Batch(images, LABELS, torch.arange(3)))
    assert loss.requires_grad
    assert not any(value.requires_grad for value in logs.values())


def test_balanced_weights_are_inverse_to_the_counts_and_1_on_average():
    labels = torch.tensor([0] * 6 + [1] * 3 + [3])
    weights = balanced_class_weights(labels, num_classes=4)
    assert weights[1] == pytest.approx(2 * weights[0])
    assert weights[3] == pytest.approx(6 * weights[0])
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert all(math.isfinite(weight) for weight in weights)


def test_balanced_weights_of_a_balanced_set_are_1():
    assert balanced_class_weights(torch.arange(30) % 3, 3).tolist() == pytest.approx([1, 1, 1])


class TwoMembers(nn.Module):
    """Says what it is given, and as its second member the reverse."""

    def forward(self, images, *, each=False):
        assert each
        return torch.stack([images, -images], dim=1)


def test_every_member_learns_for_itself():
    loss, logs = each_member(label_smoothing=0.1)(TwoMembers(), BATCH)
    reverse = Batch(-LOGITS, LABELS, torch.arange(3))
    alone = [supervised(label_smoothing=0.1)(nn.Identity(), b)[0] for b in (BATCH, reverse)]
    # The sum of what each would have alone; the mean is what is logged.
    assert float(loss) == pytest.approx(float(sum(alone)))
    assert float(logs["loss"]) == pytest.approx(float(sum(alone)) / 2)
    # Their mean has no opinion, and the first class wins the tie.
    assert float(logs["accuracy"]) == pytest.approx(1 / 3)
