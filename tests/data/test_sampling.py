"""Balanced sampling: each class as often, each image as evenly as can be."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from atelier.data.sampling import balanced_order


def order_of(labels, seed=0):
    return balanced_order(torch.tensor(labels), torch.Generator().manual_seed(seed))


@given(st.lists(st.sampled_from([0, 1, 2, 5]), min_size=1, max_size=80), st.integers(0, 1000))
def test_classes_and_then_images_come_evenly(labels, seed):
    order = order_of(labels, seed)
    assert len(order) == len(labels)
    taken = torch.bincount(order, minlength=len(labels))
    shares = {}
    for label in set(labels):
        own = taken[[place for place, other in enumerate(labels) if other == label]]
        shares[label] = int(own.sum())
        assert own.max() - own.min() <= 1
    assert max(shares.values()) - min(shares.values()) <= 1
    assert torch.equal(order, order_of(labels, seed))


def test_a_large_class_comes_once_at_most_and_over_the_epochs_all_of_it_does():
    labels = [0] * 90 + [1] * 10
    seen = set()
    for epoch in range(12):
        order = order_of(labels, epoch).tolist()
        large = [place for place in order if place < 90]
        assert len(large) == len(set(large)) == 50
        assert sorted(place for place in order if place >= 90) == sorted(list(range(90, 100)) * 5)
        seen |= set(large)
    assert seen == set(range(90))


def test_the_order_is_not_by_class():
    labels = [0] * 50 + [1] * 50
    halves = torch.tensor(labels)[order_of(labels)].view(2, 50).float().mean(1)
    assert torch.allclose(halves, torch.tensor(0.5), atol=0.2)
