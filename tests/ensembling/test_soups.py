"""Soups: the mean of weights."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import atelier
from atelier.ensembling.members import Member
from atelier.ensembling.soups import averaged, greedy, start_warning
from atelier.errors import ConfigError
from atelier.models import Classifier
from atelier.runs import load_run


@pytest.fixture(scope="module")
def tuned(train_tiny, tmp_path_factory):
    """Three fine-tunings of one run, with batch norms, that have held out the same images."""
    home = tmp_path_factory.mktemp("tuned")
    start = train_tiny(home / "start")
    return [
        train_tiny(home / f"rate-{rate}", f"train.lr={rate}", init=start.path)
        for rate in (1e-3, 3e-3, 3e-2)
    ]


def weights_of(run):
    return run.model().state_dict()


def test_a_soup_of_one_run_is_that_run(tuned, tmp_path):
    for kind in ("uniform", "greedy"):
        soup = atelier.ensemble([tuned[0]], soup=kind, out=tmp_path / kind, say=lambda _: None)
        own, expected = weights_of(soup), weights_of(tuned[0])
        assert all(torch.equal(own[name], expected[name]) for name in expected)
        kept = soup.predictions("validation")
        assert np.array_equal(kept.logits, tuned[0].predictions("validation").logits)


def test_a_uniform_soup_has_the_mean_of_the_weights_at_the_cost_of_one(tuned, tmp_path):
    said = []
    soup = atelier.ensemble(tuned, soup="uniform", out=tmp_path / "soup", say=said.append)
    states = [weights_of(run) for run in tuned]
    for name, values in weights_of(soup).items():
        if "running" in name or "num_batches" in name:
            continue
        assert torch.allclose(values, sum(state[name] for state in states) / 3, atol=1e-6)
    assert soup.metrics["parameters"] == tuned[0].metrics["parameters"]
    assert soup.metrics["multiply_adds"] == tuned[0].metrics["multiply_adds"]
    assert not any("mostly fails" in line for line in said)
    # Batch norms have the statistics of training images under the new weights.
    norms = [name for name in states[0] if name.endswith("running_mean")]
    means = {name: sum(state[name] for state in states) / 3 for name in norms}
    assert any(not torch.allclose(weights_of(soup)[name], means[name]) for name in norms)
    assert atelier.evaluate(soup).n == atelier.evaluate(tuned[0]).n


def test_a_greedy_soup_ends_no_lower_than_its_best_member(tuned, tmp_path):
    soup = atelier.ensemble(tuned, soup="greedy", out=tmp_path / "soup", say=lambda _: None)
    best = max(run.metrics["best_validation_accuracy"] for run in tuned)
    assert soup.metrics["best_validation_accuracy"] >= best
    assert 1 <= len(soup.metrics["members"]) <= 3


def test_greedy_takes_what_makes_validation_no_worse():
    """By hand: the mean of one weight, judged by its distance from 2."""

    def network(value):
        head = nn.Linear(1, 1, bias=False)
        nn.init.constant_(head.weight, value)
        return Classifier(nn.Identity(), head)

    def accuracy(model):
        return 1 - abs(float(model.head.weight.detach()) - 2)

    networks = [network(value) for value in (1.0, 2.5, 9.0, 2.0)]
    members = [Member(None, one) for one in networks]
    soup, chosen = greedy(members, [accuracy(n) for n in networks], accuracy, lambda _: None)
    # 2.0 first; 2.5 would move it to 2.25, 1.0 to 1.5, 9.0 far away.
    assert chosen == [3]
    soup, chosen = greedy(
        members[:3], [accuracy(n) for n in networks[:3]], accuracy, lambda _: None
    )
    # 2.5 first, then 1.0, whose mean with it, 1.75, is nearer than 2.5.
    assert chosen == [1, 0]
    assert float(soup.head.weight.detach()) == pytest.approx(1.75)


def test_members_stay_as_they_are():
    first = Classifier(nn.Identity(), nn.Linear(2, 2))
    second = copy.deepcopy(first)
    nn.init.zeros_(second.head.weight)
    before = first.head.weight.clone()
    averaged([first, second], lambda _: None)
    assert torch.equal(first.head.weight, before)


def test_other_starts_are_warned_of_with_the_proof(finished_run, train_tiny, tuned, tmp_path):
    # Of the same seed: the images held out are the same, though the weights are not.
    other = train_tiny(tmp_path / "other", "train.batch_size=32")
    said = []
    atelier.ensemble([finished_run, other], soup="uniform", out=tmp_path / "soup", say=said.append)
    assert "mostly fails" in said[0]
    assert "of the best of its parts" in said[-1]
    members = [Member(run, run.model()) for run in tuned]
    assert start_warning(members) is None


def test_a_greedy_soup_needs_images_to_choose_by(finished_run, train_tiny, tmp_path):
    other = train_tiny(tmp_path / "other", seed=1)
    with pytest.raises(ConfigError, match="greedy soup chooses by images"):
        atelier.ensemble([load_run(finished_run.path), other], soup="greedy", out=tmp_path / "no")
