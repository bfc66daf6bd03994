"""Attacks: the checks of Carlini et al. 2019 (arXiv:1902.06705), and their bounds."""

import numpy as np
import pytest
import torch
from torch import nn

from atelier import Predictor, load_dataset
from atelier.errors import ConfigError
from atelier.predictor import PixelClassifier
from atelier.robustness import attacks
from atelier.robustness.attacks import AttackConfig, checked_attacks, withstood
from atelier.runs import ModelCard

RADII = (1, 4, 16, 64, 255)


@pytest.fixture(scope="module")
def network(finished_run):
    return Predictor.of_run(finished_run, device="cpu").pixels


@pytest.fixture(scope="module")
def images():
    return load_dataset("fashion-mnist-sample").test.take(np.arange(120))


def attack(network, images, name, radii=RADII, **options):
    return withstood(network, images.images, images.labels, images.ids, name, radii, **options)


@pytest.fixture(scope="module")
def found(network, images):
    return {name: attack(network, images, name) for name in attacks.ATTACKS}


def clean(network, images):
    with torch.no_grad():
        logits = network(torch.from_numpy(images.images.copy()))
    return logits.argmax(dim=1).numpy() == images.labels


def test_what_was_misread_before_is_not_withstood(network, images, found):
    right = clean(network, images)
    assert 0.4 < right.mean() < 1
    for rows in found.values():
        assert not rows[:, ~right].any()


def test_a_larger_radius_breaks_no_less(found):
    for rows in found.values():
        assert (rows[1:] <= rows[:-1]).all()


def test_pgd_is_no_weaker_than_fgsm_and_breaks_all_without_a_bound(found):
    fgsm, pgd = found["fgsm"].mean(axis=1), found["pgd"].mean(axis=1)
    assert (pgd <= fgsm).all()
    assert pgd[2] < fgsm[0]
    assert pgd[-1] == 0


def test_an_attack_is_worse_than_noise_of_the_same_size(network, images, found):
    rng = np.random.default_rng(0)
    signs = rng.choice([-16, 16], images.images.shape)
    noisy = np.clip(images.images.astype(int) + signs, 0, 255).astype(np.uint8)
    with torch.no_grad():
        right = network(torch.from_numpy(noisy)).argmax(dim=1).numpy() == images.labels
    assert found["fgsm"][2].mean() < right.mean() - 0.05


def test_more_starts_and_steps_break_no_less(network, images):
    few = attack(network, images, "pgd", (8,), config=AttackConfig(5, 1))
    more = attack(network, images, "pgd", (8,), config=AttackConfig(5, 3))
    assert (more <= few).all()


def test_the_same_seed_gives_the_same_and_batches_do_not_matter(network, images):
    config = AttackConfig(4, 2)
    whole = attack(network, images, "pgd", (6, 12), config=config, seed=3)
    again = attack(network, images, "pgd", (6, 12), config=config, seed=3)
    np.testing.assert_array_equal(whole, again)
    parts = [
        attack(network, images.take(part), "pgd", (6, 12), config=config, seed=3)
        for part in (np.arange(50), np.arange(50, 120))
    ]
    # Sums in another order may tip one image.
    assert (np.concatenate(parts, axis=1) != whole).sum() <= 1


class Watched(nn.Module):
    """A linear network that keeps all that it was shown."""

    def __init__(self):
        super().__init__()
        self.shown = []
        torch.manual_seed(0)
        self.head = nn.Linear(3 * 6 * 6, 4)

    def forward(self, floats):
        self.shown.append(floats.detach().clone())
        return self.head(floats.flatten(1))


def card(**more):
    return ModelCard.model_validate(
        {
            "model": {"name": "mlp"},
            "classes": ("a", "b", "c", "d"),
            "image_shape": (3, 6, 6),
            "mean": (0.0, 0.0, 0.0),
            "std": (1.0, 1.0, 1.0),
            "background": 0,
            **more,
        }
    )


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_no_pixel_is_changed_by_more_than_the_radius_and_what_is_judged_are_bytes(name):
    watched = Watched()
    network = PixelClassifier(watched, card()).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        labels = network(torch.from_numpy(pixels)).argmax(dim=1).numpy()
    watched.shown.clear()
    rows = withstood(network, pixels, labels, np.arange(9), name, (5,))
    assert rows.mean() < 1
    last = 255 * watched.shown[-1]
    original = torch.from_numpy(pixels).float()
    ends = {len(shown) for shown in watched.shown}
    assert 9 in ends
    for shown in watched.shown:
        if len(shown) == 9:
            assert (255 * shown - original).abs().max() <= 5 + 1e-3
        assert -1e-3 <= 255 * shown.min() <= 255 * shown.max() <= 255 + 1e-3
    assert (last - last.round()).abs().max() < 1e-3


def test_fgsm_of_a_linear_network_is_the_best_that_there_is():
    watched = Watched()
    watched.head.weight.data[2:] = 0
    watched.head.bias.data[:] = torch.tensor([0.0, 0.0, -1e4, -1e4])
    network = PixelClassifier(watched, card()).eval()
    pixels = np.random.default_rng(1).integers(60, 190, (200, 3, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        logits = network(torch.from_numpy(pixels))
    labels = logits.argmax(dim=1).numpy()
    # Of two classes: the margin falls by the radius times the sum of the weights' differences.
    weights = watched.head.weight[0] - watched.head.weight[1]
    most = 3 / 255 * weights.abs().sum().item()
    margin = (logits[:, 0] - logits[:, 1]).abs().numpy()
    sure = np.abs(margin - most) > 1e-4
    for name in attacks.ATTACKS:
        rows = withstood(network, pixels, labels, np.arange(200), name, (3,))
        np.testing.assert_array_equal(rows[0][sure], (margin > most)[sure])


def test_views_are_attacked_too(images):
    """Averaging over a mirror is no way to hide a gradient."""
    watched = Watched()
    network = PixelClassifier(watched, card(mirror_average=True, shift_average=True)).eval()
    pixels = np.random.default_rng(2).integers(0, 256, (30, 3, 6, 6), dtype=np.uint8)
    with torch.no_grad():
        labels = network(torch.from_numpy(pixels)).argmax(dim=1).numpy()
    rows = withstood(network, pixels, labels, np.arange(30), "pgd", (2, 60))
    assert rows[1].mean() < 0.2


@pytest.mark.parametrize(
    ("names", "radii", "said"),
    [
        (["fgms"], [1], r"unknown attack; got 'fgms'\. Did you mean 'fgsm'"),
        (["pgd"], [0], "whole number of levels, of 255; got 0; allowed: 1 to 255"),
        (["pgd"], [300], "got 300"),
        (["pgd"], [0.5], "got 0.5"),
        (["pgd"], [], "an attack needs a radius"),
    ],
)
def test_what_makes_no_sense_is_refused(names, radii, said):
    with pytest.raises(ConfigError, match=said):
        checked_attacks(names, radii)


def test_pgd_without_steps_is_refused():
    with pytest.raises(ConfigError, match="0 steps, 1 starts"):
        AttackConfig(0, 1)
