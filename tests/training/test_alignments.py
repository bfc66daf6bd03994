"""Losses that align domains, against references computed by hand."""

import numpy as np
import pytest
import torch

from atelier.training.alignments import balanced_labels, coral_distance, reverse_gradient


def test_coral_distance_by_hand():
    source = torch.tensor([[0.0, 0.0], [2.0, 2.0]])  # covariance [[2, 2], [2, 2]]
    target = torch.tensor([[0.0, 1.0], [0.0, 3.0]])  # covariance [[0, 0], [0, 2]]
    # The difference is [[2, 2], [2, 0]]: 12 / (4 * 2 ** 2).
    assert coral_distance(source, target).item() == pytest.approx(0.75)
    assert coral_distance(source, source + 5).item() == pytest.approx(0.0)


def test_a_reversed_gradient():
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    reversed_ = reverse_gradient(values, 0.5)
    assert torch.allclose(reversed_, values)
    (reversed_ * torch.tensor([1.0, 3.0])).sum().backward()
    assert values.grad.tolist() == [-0.5, -1.5]


def test_pseudo_labels_are_as_many_of_each_class_as_their_share():
    rng = np.random.default_rng(0)
    # The first class is taken often and with confidence, the second seldom and without.
    first = torch.from_numpy(rng.uniform(0.7, 1.0, 80))
    second = torch.from_numpy(rng.uniform(0.1, 0.45, 20))
    one = torch.cat([first, second])
    labels = balanced_labels(torch.stack([one, 1 - one], dim=1), 0.5)
    # The 40 and the 10 that are surest; whatever is above a threshold is at least as sure.
    assert (labels == 0).sum() == 40
    assert (labels == 1).sum() >= 10
    assert set(torch.nonzero(labels == 0)[:, 0].tolist()) == set(first.topk(40).indices.tolist())


def test_a_class_that_nothing_is_taken_for_gets_no_label():
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]])
    assert balanced_labels(probs, 1.0).tolist() == [0, 1]
