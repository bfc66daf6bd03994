"""Which guesses are learned, against references by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from atelier.training.pseudo_labels import FlexMatch, PseudoLabels, ThresholdedLabels

VIEWS = ()


def logits_of(rows):
    return torch.tensor(rows).log()


WEAK = [[0.96, 0.02, 0.02], [0.1, 0.8, 0.1], [0.02, 0.02, 0.96], [0.4, 0.3, 0.3]]
STRONG = [[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]
POSITIONS = torch.arange(4)


def test_fixmatch_learns_what_is_sure_and_divides_by_all():
    loss, logs = ThresholdedLabels(0.95)([logits_of(WEAK), logits_of(STRONG)], VIEWS, POSITIONS)
    # The first and the third weak view are sure of the classes 0 and 2.
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.25)) / 4, rel=1e-5)
    assert logs["taken"] == 0.5


def test_no_gradient_reaches_the_weak_view():
    weak, strong = logits_of(WEAK).requires_grad_(), logits_of(STRONG).requires_grad_()
    loss, _ = ThresholdedLabels(0.95)([weak, strong], VIEWS, POSITIONS)
    loss.backward()
    assert weak.grad is None
    assert (strong.grad.abs().sum(dim=1) > 0).tolist() == [True, False, True, False]


def test_alignment_moves_probabilities_to_the_frequencies_of_the_labels():
    target = torch.full((3,), 1 / 3)
    loss = ThresholdedLabels(0.6, target=target)
    always_first = torch.tensor([[0.8, 0.1, 0.1]]).log().repeat(4, 1)
    for _ in range(900):
        _, logs = loss([always_first, logits_of(STRONG)], VIEWS, POSITIONS)
    # Their mean is known by now: each class is as likely as the others, and none is sure.
    assert torch.allclose(loss.mean, torch.tensor([0.8, 0.1, 0.1]), atol=1e-3)
    assert logs["taken"] == 0
    aligned = loss._aligned(torch.tensor([[0.6, 0.2, 0.2]]))
    by_hand = torch.tensor([0.6 / 0.8, 2.0, 2.0])
    assert torch.allclose(aligned[0], by_hand / by_hand.sum(), atol=2e-2)


def test_flexmatch_is_content_with_less_where_a_class_is_learned_slowly():
    loss = FlexMatch(0.9, num_images=10, num_classes=3)
    # Nothing was given yet: all thresholds are 0, and all guesses are learned.
    assert loss.thresholds().tolist() == [0, 0, 0]
    _, logs = loss([logits_of(WEAK), logits_of(STRONG)], VIEWS, POSITIONS)
    assert logs["taken"] == 1
    assert loss.given.tolist() == [0, 3, 2, 3, 3, 3, 3, 3, 3, 3]
    # Eight of ten have none, which are the most: beta is 1/8 for the classes 0 and 2.
    low = 0.9 * (1 / 8) / (2 - 1 / 8)
    assert loss.thresholds().tolist() == pytest.approx([low, 0, low])
    loss.given[:] = torch.tensor([0, 0, 0, 0, 2, 2, 1, 3, 3, 3])
    # Class 0 has the most, four; the others have 1/4 and 1/2 of it.
    expected = [0.9, 0.9 * 0.25 / 1.75, 0.9 * 0.5 / 1.5]
    assert loss.thresholds().tolist() == pytest.approx(expected)


def test_flexmatch_masks_by_the_threshold_of_the_guessed_class():
    loss = FlexMatch(0.9, num_images=10, num_classes=3)
    loss.given[:] = torch.tensor([0, 0, 0, 0, 2, 2, 1, 3, 3, 3])
    weak = logits_of([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.34, 0.33, 0.33], [0.2, 0.2, 0.6]])
    strong = logits_of(STRONG)
    value, _ = loss([weak, strong], VIEWS, POSITIONS + 3)
    counts = torch.tensor([0.0, 1.0, 0.0, 1.0])
    guesses = torch.tensor([0, 1, 0, 2])
    by_hand = (F.cross_entropy(strong, guesses, reduction="none") * counts).mean()
    assert value.item() == pytest.approx(by_hand.item())


def test_pseudo_labels_are_the_view_s_own():
    logits = logits_of(WEAK).requires_grad_()
    loss, logs = PseudoLabels(0.0)([logits], VIEWS, POSITIONS)
    by_hand = -(math.log(0.96) + math.log(0.8) + math.log(0.96) + math.log(0.4)) / 4
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)
    assert logs["taken"] == 1
    _, logs = PseudoLabels(0.5)([logits], VIEWS, POSITIONS)
    assert logs["taken"] == 0.75
