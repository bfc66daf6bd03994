"""Prototypical networks, beside the paper's equations written out."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import atelier
from atelier.data.batches import Batch
from atelier.errors import ConfigError
from atelier.models import Classifier
from atelier.training.few_shot import prototypical, prototypical_logits

EPISODES = ("method=prototypical", "method.ways=3", "method.queries=4", "method.episodes=3")
HELD_OUT = 'train.held_out=["Coat", 5, "Bag"]'


def test_logits_are_minus_the_squared_distances_to_the_means():
    support = torch.tensor([[[0.0, 0.0], [2.0, 0.0]], [[4.0, 4.0], [4.0, 6.0]]])
    queries = torch.tensor([[1.0, 0.0], [4.0, 1.0]])
    # The prototypes are (1, 0) and (4, 5).
    assert prototypical_logits(support, queries).tolist() == [[0.0, -34.0], [-10.0, -16.0]]


def test_the_loss_is_that_of_the_paper():
    """Snell et al. 2017, algorithm 1, image by image."""
    torch.manual_seed(0)
    ways, shots, queries = 3, 2, 4
    model = Classifier(torch.nn.Flatten(), torch.nn.Linear(6, 5))
    images = torch.randn(ways * (shots + queries), 1, 2, 3)
    labels = torch.tensor([4, 0, 2]).repeat_interleave(shots + queries)
    loss, logs = prototypical(ways=ways, shots=shots)(
        model, Batch(images, labels, torch.arange(len(images)))
    )
    points = images.flatten(1).double().numpy().reshape(ways, shots + queries, 6)
    prototypes = points[:, :shots].mean(axis=1)
    losses, right = [], []
    for k in range(ways):
        for query in points[k, shots:]:
            distances = [((query - prototype) ** 2).sum() for prototype in prototypes]
            losses.append(distances[k] + np.log(np.exp(-np.array(distances)).sum()))
            right.append(int(np.argmin(distances)) == k)
    assert logs["loss"].item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert logs["accuracy"].item() == pytest.approx(np.mean(right))
    head = torch.nn.functional.cross_entropy(model(images), labels)
    assert loss.item() == pytest.approx(np.mean(losses) + head.item(), rel=1e-5)


def test_the_head_learns_without_a_say_in_the_embedding():
    torch.manual_seed(0)
    features = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 4))
    model = Classifier(features, torch.nn.Linear(4, 5))
    batch = Batch(torch.randn(8, 1, 2, 3), torch.tensor([0] * 4 + [1] * 4), torch.arange(8))

    def gradients():
        model.zero_grad()
        prototypical(ways=2, shots=2)(model, batch)[0].backward()
        return features[1].weight.grad.clone(), model.head.weight.grad.clone()

    before, head = gradients()
    with torch.no_grad():
        model.head.weight.mul_(-5)
    assert torch.equal(before, gradients()[0])
    assert head.abs().sum() > 0


def test_a_run_never_sees_the_classes_held_out_and_says_none_of_them(train_tiny, tmp_path):
    run = train_tiny(tmp_path / "run", *EPISODES, HELD_OUT, "train.validation_share=0.2")
    assert run.metrics["train_images"] == 7 * 80
    predictions = run.predictions("validation")
    assert sorted(set(predictions.labels)) == [0, 1, 2, 3, 6, 7, 9]
    assert "train/head_loss" in run.history[0]
    assert run.recipe.train.held_out == ("Coat", 5, "Bag")
    assert "train.held_out=" in run.command


def test_a_plain_run_holds_the_same_classes_out(train_tiny, tmp_path):
    run = train_tiny(tmp_path / "run", HELD_OUT, "train.num_epochs=4")
    predictions = run.predictions("validation")
    assert not {4, 5, 8} & set(predictions.labels)
    # Never the answer, so that they are learned to be none.
    assert np.isin(predictions.predicted, [4, 5, 8]).mean() < 0.02


def test_a_resumed_training_draws_the_episodes_of_an_uninterrupted_one(train_tiny, tmp_path):
    def stop(_path, history):
        if len(history) == 1:
            raise LookupError("enough")

    whole = train_tiny(tmp_path / "whole", *EPISODES)
    with pytest.raises(LookupError, match="enough"):
        train_tiny(tmp_path / "parts", *EPISODES, on_epoch=stop)
    parts = atelier.train(resume=tmp_path / "parts", progress=False)
    one, other = (load_file(run.path / "model.safetensors") for run in (whole, parts))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["augment.mixup=1"], "without mixed images"),
        (["train.prune=0.3"], r"without train\.prune"),
        (["method.ways=11"], r"Set method\.ways"),
        (["train.held_out=[0,1,2,3,4,5,6,7,8]"], r"fewer with train\.held_out"),
        (['train.held_out=["Coats"]'], "Did you mean 'Coat'"),
    ],
)
def test_what_does_not_go_together_is_refused(train_tiny, tmp_path, overrides, said):
    with pytest.raises(ConfigError, match=said):
        train_tiny(tmp_path / "run", *EPISODES, *overrides)
    assert not (tmp_path / "run").exists()
