"""The linear probe on embeddings that are computed once."""

import pytest
import torch
from safetensors.torch import load_file

import atelier
from atelier.errors import ConfigError
from atelier.models.classifier import Classifier
from atelier.training import entry
from atelier.training.probe import caches_embeddings

FROZEN = ("train.freeze=backbone", "augment.mirror=none", "train.num_epochs=3", "train.lr=0.05")


@pytest.fixture
def frozen(train_tiny, tmp_path):
    def frozen(name, *overrides, **options):
        return train_tiny(tmp_path / name, *FROZEN, *overrides, recipe="cnn", **options)

    return frozen


@pytest.fixture
def slowly(monkeypatch):
    """Trainings that go through the whole network in every epoch."""

    def slowly():
        monkeypatch.setattr("atelier.training.probe.caches_embeddings", lambda _recipe: False)
        monkeypatch.setattr(entry, "caches_embeddings", lambda _recipe: False)

    return slowly


def weights(run):
    return load_file(run.path / "model.safetensors")


def same(mine, theirs, **tolerance):
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        assert torch.allclose(value, theirs[name], **tolerance), name


@pytest.mark.parametrize(
    "sets", [(), ("train.prune=0.4",), ("train.class_weights=balanced", "train.ema_decay=0.9")]
)
def test_it_gives_what_the_slow_way_gives(frozen, slowly, sets):
    quick = frozen("quick", *sets)
    slowly()
    slow = frozen("slow", *sets)
    same(weights(quick), weights(slow), atol=1e-4)
    for mine, theirs in zip(quick.history, slow.history, strict=True):
        for key in ("train/loss", "train/accuracy", "validation/loss", "validation/accuracy"):
            assert mine[key] == pytest.approx(theirs[key], abs=2e-3)
    assert quick.metrics["parameters"] == slow.metrics["parameters"]


def test_the_backbone_is_run_once_and_never_moves(frozen, monkeypatch):
    passes = []
    forward = Classifier.forward
    monkeypatch.setattr(
        Classifier,
        "forward",
        lambda self, images: passes.append(images.ndim) or forward(self, images),
    )
    run = frozen("run", "train.keep=last")
    assert passes.count(2) > 3 * 14  # the loop sees embeddings
    # The cost; the final predictions average the embeddings of both views before the head.
    assert passes.count(4) == 1
    first = weights(run)
    again = weights(frozen("again", "train.keep=last", "train.num_epochs=1"))
    for name in first:
        if name.startswith("features."):
            assert torch.equal(first[name], again[name]), name


def test_the_kept_predictions_are_of_the_kept_weights(frozen):
    run = frozen("run")
    best = max(row["validation/accuracy"] for row in run.history)
    assert run.metrics["best_validation_accuracy"] == pytest.approx(best, abs=0.02)
    assert run.predictions("validation").classes == run.classes


@pytest.mark.parametrize("sets", [(), ("train.cached_views=2", "augment.rotation_degrees=10")])
def test_a_resumed_probe_equals_an_uninterrupted_one(frozen, stopped_in, sets):
    whole = frozen("whole", *sets)
    with stopped_in(epoch=3):
        stopped = frozen("stopped", *sets)
    assert stopped.metrics["interrupted"]
    resumed = atelier.train(resume=stopped.path, progress=False)
    same(weights(resumed), weights(whole), rtol=0, atol=0)


def test_a_resumed_probe_takes_the_backbone_from_its_folder(frozen, stopped_in, tmp_path):
    first = frozen("first")
    with stopped_in(epoch=3):
        stopped = frozen("stopped", "seed=5", init=first.path)
    first.path.rename(tmp_path / "gone")
    resumed = atelier.train(resume=stopped.path, progress=False)
    name = "features.0.weight"
    assert torch.equal(weights(resumed)[name], load_file(tmp_path / "gone/model.safetensors")[name])


def test_cached_views_are_drawn_anew_in_each_epoch(frozen):
    flat = frozen("flat")
    views = frozen("views", "augment.rotation_degrees=20", "train.cached_views=3")
    assert not torch.equal(weights(views)["head.weight"], weights(flat)["head.weight"])
    name = "features.0.weight"
    assert torch.equal(weights(views)[name], weights(flat)[name])


def test_what_is_cached():
    def caches(*sets):
        return caches_embeddings(
            atelier.get_recipe("cnn", overrides=["augment.mirror=none", *sets])
        )

    frozen = "train.freeze=backbone"
    assert caches(frozen)
    assert not caches()
    assert not caches(frozen, "train.unfreeze_epochs=1")
    assert not caches(frozen, "augment.mirror=random")
    assert not caches(frozen, "train.start_size=14")
    assert caches(frozen, "augment.mirror=random", "train.cached_views=2")
    for name in ("augment.mixup=0.2", "augment.cutmix=1", "train.start_size=14"):
        with pytest.raises(ConfigError, match=r"keeps views of single images of one size"):
            caches(frozen, "train.cached_views=2", name)
