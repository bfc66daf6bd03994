"""Labels spread along the graph of like images, as the papers say."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import sparse

from atelier.config.semi_supervised import LabelPropagationConfig
from atelier.training.label_propagation import (
    PropagatedLabels,
    balanced,
    certainty,
    default_alpha,
    projected,
    propagated,
    similarity_graph,
)

PATH = sparse.csr_matrix(np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], float))


def test_the_limit_is_what_the_linear_system_says():
    scale = np.diag(1 / np.sqrt([1, 2, 1]))
    spread = scale @ PATH.toarray() @ scale
    labels = np.array([[1.0, 0], [0, 1], [0, 0]])
    expected = 0.1 * np.linalg.inv(np.eye(3) - 0.9 * spread) @ labels
    found = propagated(PATH, np.array([0, 1]), num_classes=2, alpha=0.9)
    assert np.allclose(found, expected, atol=1e-9)


def test_two_groups_get_the_label_of_their_one_labeled_member():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 5)) + 10 * np.arange(2).repeat(30)[:, None]
    order = [0, 30, *range(1, 30), *range(31, 60)]  # the labeled ones first
    graph = similarity_graph(torch.tensor(points[order]).float(), 5)
    found = propagated(graph, np.array([0, 1]), num_classes=2, alpha=0.99)
    assert found.argmax(axis=1).tolist() == [0, 1, *[0] * 29, *[1] * 29]
    assert certainty(found).min() > 0.99


def test_the_graph_of_many_images_takes_one_block_of_distances():
    """In a process of its own, for memory that was taken once stays taken."""
    script = (
        "import resource, sys, torch\n"
        "from atelier.devices import keep_freed_memory\n"
        "from atelier.training.label_propagation import similarity_graph\n"
        "keep_freed_memory()\n"
        "vectors = torch.randn(15_000, 96)\n"
        "similarity_graph(vectors[:1500], 10)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "similarity_graph(vectors, 10)\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    block = 1000 * 15_000 * 4
    assert 1024 * int(done.stdout) < 3 * block


def test_the_graph_weighs_neighbors_by_their_distance_beside_the_farthest():
    graph = similarity_graph(torch.tensor([[0.0], [1.0], [3.0]]), 2).toarray()
    # From 0: at 1 of 3, and at 3 of 3. From 1: at 1 and 2 of 2. From 3: at 2 and 3 of 3.
    near = (np.exp(-4 / 9) + np.exp(-1)) / 2
    assert graph[0, 1] == graph[1, 0] == pytest.approx(near)
    assert graph[0, 2] == pytest.approx(np.exp(-4))
    assert np.diag(graph).tolist() == [0, 0, 0]


def test_certainty_is_one_for_one_label_and_zero_for_all_alike_or_none():
    reached = np.array([[0.3, 0, 0], [0.1, 0.1, 0.1], [0, 0, 0], [0.5, 0.5, 0]])
    assert certainty(reached) == pytest.approx([1, 0, 0, 1 - np.log(2) / np.log(3)])


def test_balanced_labels_reach_as_many_nodes_as_they_should():
    rng = np.random.default_rng(0)
    reached = rng.dirichlet([8.0, 2.0, 2.0], 2000) * rng.uniform(1e-9, 1, (2000, 1))
    assert (np.bincount(reached.argmax(axis=1)) / 2000)[0] > 0.8
    found = balanced(reached, np.array([10, 10, 20]))
    assert np.bincount(found.argmax(axis=1)) / 2000 == pytest.approx([0.25, 0.25, 0.5], abs=0.01)
    assert found.sum(axis=1) == pytest.approx(np.ones(2000))
    # Between two nodes, what told a class from another still does.
    odds = np.log(found[:, 0] / found[:, 1]) - np.log(reached[:, 0] / reached[:, 1])
    assert odds == pytest.approx(np.full(2000, odds[0]))


def test_balanced_labels_leave_out_a_class_without_labels_and_nodes_that_none_reached():
    reached = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0, 0, 0]])
    found = balanced(reached, np.array([1, 1, 0]))
    assert found[:, 2].tolist() == [0, 0, 0, 0]
    assert found[:3].argmax(axis=1).tolist() == [0, 0, 1]
    assert found[3].tolist() == [0, 0, 0]
    assert certainty(found)[3] == pytest.approx(0)
    assert balanced(np.zeros((2, 3)), np.array([1, 1, 0])).tolist() == [[0, 0, 0]] * 2


def test_fewer_components_keep_distances_where_there_are_no_more():
    flat = torch.randn(40, 3) @ torch.randn(3, 20)
    found = projected(flat, 3, whiten=0)
    assert found.shape == (40, 3)
    assert torch.allclose(torch.cdist(found, found), torch.cdist(flat, flat), atol=1e-2)
    assert projected(flat, 20, whiten=0) is flat


@pytest.mark.parametrize(("whiten", "spread"), [(0.5, [3.16, 1, 0.316]), (1, [1, 1, 1])])
def test_whitened_components_have_a_power_of_their_spread(whiten, spread):
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3)).Q
    points = torch.randn(5000, 3) * torch.tensor([10, 1, 0.1]) @ turn + 7
    found = projected(points.double(), 3, whiten=whiten)
    assert sorted(found.std(dim=0).tolist()) == pytest.approx(sorted(spread), rel=0.05)
    assert found.mean(dim=0).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_whitening_leaves_components_that_are_rounding_near_zero():
    torch.manual_seed(0)
    found = projected(torch.randn(200, 2) @ torch.randn(2, 6), 6, whiten=1)
    assert torch.isfinite(found).all()
    assert (found.std(dim=0) > 0.5).sum() == 2


def test_vectors_that_are_all_the_same_stay_so_when_whitened():
    assert projected(torch.ones(20, 6), 4, whiten=1).tolist() == [[0.0] * 4] * 20


def test_fewer_labels_spread_farther():
    alphas = [default_alpha(labels / 60_000) for labels in (40, 100, 400, 4000)]
    assert alphas == pytest.approx([0.996, 0.99, 0.96, 0.9])
    assert default_alpha(1e-9) == pytest.approx(0.999)


def test_what_the_network_makes_of_images_stands_beside_what_the_first_graph_is_of():
    """Four classes by two numbers, of which each side knows one: together they tell all apart."""
    torch.manual_seed(0)
    truth = torch.arange(4).repeat_interleave(100)
    truth = torch.cat([torch.arange(4), truth])  # the labeled ones first
    images = torch.stack([truth // 2, truth % 2], dim=1).view(-1, 1, 1, 2).float()
    images += 0.05 * torch.randn_like(images)
    prepared = SimpleNamespace(
        batches=SimpleNamespace(normalize=lambda part: part),
        card=SimpleNamespace(classes=("a", "b", "c", "d")),
        progress=False,
    )

    def right(**embed):
        loss = PropagatedLabels(
            images,
            torch.arange(4),
            prepared,
            LabelPropagationConfig(balance=False, refresh_epochs=1),
            steps_per_epoch=1,
            num_epochs=3,
            along=lambda part: part[..., :1],
            **embed,
        )
        first = (loss.labels == truth[4:]).float().mean()
        loss.after_step(SecondNumber())
        return first, (loss.labels == truth[4:]).float().mean()

    alone, with_network = right()
    assert alone < 0.7
    assert with_network > 0.95
    from_a_run, _ = right(embed=SecondNumber().features)
    assert from_a_run > 0.95


class SecondNumber(torch.nn.Module):
    def features(self, images):
        return images[..., 1:]
