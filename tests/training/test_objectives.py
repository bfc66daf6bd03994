"""Objectives: the loss that is asked for, and what is logged of it."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from atelier.data.batches import Batch
from atelier.data.mixing import Mixed
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


# Mixed images


def mixed_batch(logits, labels, partners, share, **more):
    return Batch(
        logits,
        torch.tensor(labels),
        torch.arange(len(labels)),
        mixed=Mixed(torch.tensor(partners), torch.tensor(share)),
        **more,
    )


@given(
    st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    st.floats(0, 0.5),
    st.booleans(),
    st.booleans(),
)
def test_the_gradient_of_a_mixed_batch_is_that_of_both_losses_by_their_shares(
    share, smoothing, weighted, by_class
):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator, requires_grad=True)
    labels, partners = torch.tensor([0, 1, 2, 1]), torch.tensor([3, 0, 1, 2])
    own = torch.tensor([1.0, 0.5, 2.0, 0.5]) if weighted else torch.ones(4)
    classes = torch.tensor([0.5, 1.0, 3.0]) if by_class else None
    batch = mixed_batch(
        logits, labels.tolist(), partners.tolist(), share, weights=own if weighted else None
    )
    loss, _ = supervised(label_smoothing=smoothing, class_weights=classes)(nn.Identity(), batch)
    (found,) = torch.autograd.grad(loss, logits)

    total, counted = torch.zeros(()), 0.0
    for i in range(4):
        for place, part in ((i, share[i]), (int(partners[i]), 1 - share[i])):
            label = labels[place]
            one = F.cross_entropy(
                logits[i : i + 1],
                label[None],
                weight=classes,
                label_smoothing=smoothing,
                reduction="sum",
            )
            total = total + part * own[place] * one
            counted += part * (1 if classes is None else float(classes[label]))
    (expected,) = torch.autograd.grad(total / counted, logits)
    assert torch.allclose(found, expected, atol=1e-5)


def test_members_learn_from_mixed_images_each_for_itself():
    mixed = Mixed(torch.tensor([1, 2, 0]), torch.tensor([0.2, 1.0, 0.6]))
    batch, reverse = (Batch(x, LABELS, torch.arange(3), mixed=mixed) for x in (LOGITS, -LOGITS))
    loss, _ = each_member()(TwoMembers(), batch)
    alone = [supervised()(nn.Identity(), b)[0] for b in (batch, reverse)]
    assert float(loss) == pytest.approx(float(sum(alone)))


@pytest.mark.parametrize("objective", [supervised, each_member])
def test_a_batch_in_which_nothing_was_mixed_is_as_any_other(objective):
    model = nn.Identity() if objective is supervised else TwoMembers()
    batch = mixed_batch(LOGITS, LABELS.tolist(), [2, 0, 1], [1.0, 1.0, 1.0])
    for ours, plain in zip(
        objective()(model, batch)[1].values(), objective()(model, BATCH)[1].values(), strict=True
    ):
        assert float(ours) == pytest.approx(float(plain))


def test_the_accuracy_on_mixed_images_counts_the_share_that_is_right():
    # Predicted are 0, 1, 1.
    batch = mixed_batch(LOGITS, [0, 2, 0], [1, 0, 1], [0.75, 0.5, 0.4])
    _, logs = supervised()(nn.Identity(), batch)
    assert float(logs["accuracy"]) == pytest.approx((0.75 + 0 + 0) / 3)


def test_what_is_observed_is_the_mixed_loss_without_weights():
    seen = []
    batch = mixed_batch(
        LOGITS, [0, 1, 2], [1, 2, 0], [0.25, 1.0, 0.5], weights=torch.tensor([5.0, 1, 0])
    )
    batch = Batch(**{**vars(batch), "observe": seen.append})
    supervised()(nn.Identity(), batch)
    each = -log_probs()
    expected = [0.25 * each[0, 0] + 0.75 * each[0, 1], each[1, 1], 0.5 * (each[2, 2] + each[2, 0])]
    assert torch.allclose(seen[0], torch.stack(expected))


def test_image_weights_weigh_the_mean():
    weights = torch.tensor([2.0, 0.0, 1.0])
    loss, _ = supervised()(nn.Identity(), Batch(LOGITS, LABELS, torch.arange(3), weights))
    each = -log_probs()[range(3), LABELS]
    assert float(loss) == pytest.approx(float((weights * each).sum() / 3))
