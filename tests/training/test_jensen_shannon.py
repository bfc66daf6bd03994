"""The consistency loss of AugMix."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from atelier.errors import ConfigError
from atelier.training.jensen_shannon import jensen_shannon

METHOD = ("method=jensen-shannon",)


def test_of_two_views_it_is_scipys():
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0))
    probs = logits.double().softmax(2).numpy()
    # SciPy gives the square root.
    expected = np.mean([jensenshannon(p, q) ** 2 for p, q in zip(*probs, strict=True)])
    assert float(jensen_shannon(logits)) == pytest.approx(expected, rel=1e-5)


def test_of_three_by_hand_and_of_the_same_nothing():
    logits = torch.tensor([[[0.0, 0.0]], [[40.0, 0.0]], [[0.0, 40.0]]])
    # Entropy of the mean (1/2, 1/2), minus the mean of the entropies, log 2, 0 and 0.
    assert float(jensen_shannon(logits)) == pytest.approx(np.log(2) * 2 / 3, rel=1e-5)
    assert float(jensen_shannon(logits[:1].expand(3, -1, -1))) == pytest.approx(0, abs=1e-7)


def test_it_trains_and_a_resumed_training_is_the_same(train_tiny, stopped_in, tmp_path):
    import atelier

    run = train_tiny(tmp_path / "run", *METHOD, "augment.mirror=random")
    assert run.history[-1]["train/divergence"] > 0
    row = run.history[0]
    loss = row["train/label_loss"] + 12 * row["train/divergence"]
    assert row["train/loss"] == pytest.approx(loss, rel=1e-5)
    with stopped_in(2):
        train_tiny(tmp_path / "stopped", *METHOD, "augment.mirror=random")
    resumed = atelier.train(resume=tmp_path / "stopped", progress=False)
    first, second = run.model().state_dict(), resumed.model().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_mixed_images_are_refused(train_tiny, tmp_path):
    with pytest.raises(ConfigError, match="mixed images are of two"):
        train_tiny(tmp_path / "no", *METHOD, "augment.fmix=1")
