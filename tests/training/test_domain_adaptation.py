"""Adapting a network to a domain whose labels it does not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from atelier import evaluate
from atelier.data import load_dataset
from atelier.data.derived import source_of
from atelier.errors import ConfigError
from atelier.training import domain_adaptation

METHODS = ("batch-norm-adaptation", "dann", "deep-coral", "self-training")
TARGET = "fashion-mnist-sample:inverted"


def settings(method, *more):
    return (f"method={method}", f"method.target={TARGET}", "train.batch_size=256", *more)


@pytest.fixture(scope="module")
def source(train_tiny, tmp_path_factory):
    return train_tiny(
        tmp_path_factory.mktemp("runs") / "source", "train.batch_size=256", recipe="speednet"
    )


def weights(run):
    return load_file(run.path / "model.safetensors")


def same(first, second):
    return all((first[name] == second[name]).all() for name in first | second)


@pytest.mark.parametrize("method", METHODS)
def test_the_target_s_labels_change_no_bit(
    method, source, train_tiny, tmp_path, monkeypatch, stopped_in
):
    first = train_tiny(tmp_path / "first", *settings(method), recipe="speednet", init=source.path)
    load = domain_adaptation.obtain_dataset

    def permuted(spec, *others, **options):
        found = load(spec, *others, **options)
        order = np.random.default_rng(0).permutation(len(found.train))
        return replace(found, train=replace(found.train, labels=found.train.labels[order]))

    monkeypatch.setattr(domain_adaptation, "obtain_dataset", permuted)
    # Stopped and resumed on the way: it has to be the uninterrupted one, too.
    with stopped_in(3):  # the labeled images of the second epoch are counted from 3
        train_tiny(tmp_path / "second", *settings(method), recipe="speednet", init=source.path)
    from atelier import train

    second = train(resume=tmp_path / "second", progress=False)
    assert same(weights(first), weights(second))
    assert "without its labels" in " ".join(first.environment["notes"])


def first_norm(model):
    return next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))


def test_batch_norms_have_the_target_s_statistics(source, train_tiny, tmp_path):
    run = train_tiny(
        tmp_path / "adapted",
        *settings("batch-norm-adaptation", "train.lr=1e-9"),
        recipe="speednet",
        init=source.path,
    )
    model, seen = run.model().eval(), []
    norm = first_norm(model)
    norm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    pixels = torch.from_numpy(np.array(load_dataset(TARGET).train.images)) / 255
    with torch.no_grad():
        model((pixels - run.card.mean[0]) / run.card.std[0])
    measured = seen[0].mean(dim=(0, 2, 3))
    # Of all images, where the training has held some out.
    assert torch.allclose(norm.running_mean, measured, atol=0.05)
    assert not torch.allclose(first_norm(source.model()).running_mean, measured, atol=0.1)


def test_the_run_is_judged_by_the_part_that_it_has_not_seen(source):
    result = evaluate(source, data=TARGET)
    assert result.n == len(load_dataset(TARGET).test)
    assert "the test part of fashion-mnist-sample:inverted" in str(result)
    held_out = evaluate(source, data=TARGET, split="validation")
    assert held_out.n == source.metrics["validation_images"]
    assert source_of(TARGET) == source.recipe.data


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (("model.members=2",), "by one network"),
        (("train.swa_from=0.5",), "train.swa_from fits batch norms"),
    ],
)
def test_what_does_not_go_together_is_refused(train_tiny, tmp_path, more, problem):
    with pytest.raises(ConfigError, match=problem):
        train_tiny(tmp_path / "run", *settings("dann", *more), recipe="speednet")
    assert not (tmp_path / "run").exists()


def test_a_network_without_batch_norms_or_images_of_another_shape(
    train_tiny, tmp_path, photo_folder
):
    with pytest.raises(ConfigError, match="this network has none"):
        train_tiny(tmp_path / "run", *settings("batch-norm-adaptation", "model.batch_norm=false"))
    with pytest.raises(ConfigError, match="another shape than the source's"):
        train_tiny(
            tmp_path / "run", "method=deep-coral", f"method.target={photo_folder}", recipe="mlp"
        )
