"""What a setting of the optimization must leave alone, and that each goes on after a stop."""

import pytest
import torch
from torch import nn

from atelier.config import TrainConfig
from atelier.data.batches import Batch
from atelier.models import Classifier
from atelier.training.checkpoints import load_checkpoint, save_checkpoint
from atelier.training.loop import fit, take_step
from atelier.training.objectives import supervised
from atelier.training.optimizers import build_optimizer

SETTINGS = {
    "nadam": {"optimizer": "nadam"},
    "rmsprop": {"optimizer": "rmsprop"},
    "lion": {"optimizer": "lion", "lr": 1e-3},
    "sam": {"optimizer": "sgd", "sharpness": "sam"},
    "asam": {"sharpness": "asam"},
    "lookahead": {"lookahead_steps": 2},
    "epochs": {"swa_from": 0.25, "schedule": "constant"},
    "moving": {"ema_decay": 0.8},
    "accumulated": {"accumulate": 2},
    "restarts": {"schedule": "restarts", "cycle_epochs": 2},
    "all": {"sharpness": "sam", "lookahead_steps": 2, "swa_from": 0.5, "accumulate": 3},
}


class Points:
    """Five batches of points whose class is the sign of their first number."""

    batch_size = 8

    def __len__(self):
        return 5

    def epoch(self, _, seed):
        generator = torch.Generator().manual_seed(seed)
        for _ in range(5):
            images = torch.randn(8, 4, generator=generator)
            yield Batch(images, (images[:, 0] > 0).long(), torch.arange(8))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


class Silent:
    def update(self, completed, note=""):
        pass


def network(*, norm=True):
    torch.manual_seed(0)
    norms = [nn.BatchNorm1d(6)] if norm else []
    layers = [nn.Linear(4, 6), *norms, nn.ReLU(), nn.Dropout(0.2)]
    return Classifier(nn.Sequential(*layers), nn.Linear(6, 2))


def train(state=None, validate=None, after_epoch=lambda _: None, **options):
    settings = {"num_epochs": 4, "warmup_epochs": 0, "validation_share": 0, "keep": "last"}
    config = TrainConfig(**{**settings, **options})
    model = network()
    return fit(
        model,
        Points(),
        objective := supervised(),
        build_optimizer(model, config, objective),
        config,
        seed=0,
        validate=validate,
        state=state,
        after_epoch=after_epoch,
        bar=Silent(),
    )


@pytest.mark.parametrize("options", SETTINGS.values(), ids=SETTINGS)
def test_going_on_from_a_checkpoint_equals_not_stopping(tmp_path, options):
    paths = []

    def keep(state):
        paths.append(tmp_path / f"{len(paths)}.safetensors")
        save_checkpoint(paths[-1], state)

    whole = train(after_epoch=keep, **options)
    for path in (paths[0], paths[2]):
        resumed = train(state=load_checkpoint(path), **options)
        for part in ("model", "average", "best"):
            left, right = getattr(whole, part), getattr(resumed, part)
            assert left.keys() == right.keys()
            assert all(torch.equal(left[name], right[name]) for name in left), part
        assert [row["train/loss"] for row in resumed.history] == [
            row["train/loss"] for row in whole.history
        ]
    start = network().state_dict()
    assert not any(torch.equal(whole.best[n], start[n]) for n in ("head.weight", "head.bias"))


def test_the_kept_average_is_that_of_the_epochs_with_norms_of_its_own():
    states = []
    final = train(after_epoch=states.append, **SETTINGS["epochs"])
    for name in ("features.0.weight", "head.weight", "head.bias"):
        mean = torch.stack([state.model[name] for state in states[1:]]).mean(dim=0)
        assert torch.allclose(final.best[name], mean, atol=1e-6)
    # Of 40 points there are five batches, of which the norm has the plain mean.
    model = network()
    model.load_state_dict(final.best)
    seen = final.best["features.1.running_mean"]
    assert final.best["features.1.num_batches_tracked"] == 5
    assert not torch.equal(seen, final.model["features.1.running_mean"])


def test_two_batches_of_32_make_the_step_of_one_of_64():
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(64, 4, generator=generator)
    whole = Batch(images, (images[:, 0] > 0).long(), torch.arange(64))
    halves = [
        Batch(whole.images[half], whole.labels[half], whole.positions[half])
        for half in (slice(0, 32), slice(32, 64))
    ]
    found = []
    for batches in ([whole], halves):
        config = TrainConfig(optimizer="sgd", clip_grad_norm=0.1, sharpness="sam")
        model = network(norm=False).eval()
        optimizer = build_optimizer(model, config)
        logs = take_step(model, batches, supervised(), optimizer, config)
        found.append((model.state_dict(), float(logs["loss"]) / len(batches)))
    (left, loss), (right, other) = found
    assert loss == pytest.approx(other, abs=1e-6)
    for name, value in left.items():
        assert torch.allclose(value, right[name], atol=1e-6), name
        assert not torch.equal(value, network(norm=False).state_dict()[name])


def test_the_last_step_of_an_epoch_takes_the_batches_that_are_left():
    sizes = []

    def objective(model, batch):
        sizes.append(model.head.weight.sum().item())
        return supervised()(model, batch)

    config = TrainConfig(num_epochs=1, warmup_epochs=0, accumulate=3, keep="last", lr=0.1)
    model = network()
    state = fit(
        model,
        Points(),
        objective,
        build_optimizer(model, config),
        config,
        seed=0,
        validate=None,
        state=None,
        after_epoch=lambda _: None,
        bar=Silent(),
    )
    # Three batches before the first step, two before the second.
    assert [sizes.count(value) for value in dict.fromkeys(sizes)] == [3, 2]
    assert state.history[0]["train/loss"] < 2


def test_losses_are_observed_once_and_logged_at_the_weights_themselves():
    observed = []
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    batch = Batch(images, (images[:, 0] > 0).long(), torch.arange(8), observe=observed.append)
    logged = []
    for sharpness in ("none", "sam"):
        config = TrainConfig(optimizer="sgd", sharpness=sharpness, sharpness_radius=1.0)
        model = network(norm=False).eval()
        logs = take_step(model, [batch], supervised(), build_optimizer(model, config), config)
        logged.append(float(logs["loss"]))
    assert len(observed) == 2
    assert logged[0] == logged[1]


def test_what_an_objective_has_of_its_own_counts_in_the_norm_that_is_clipped():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(50.0))

        def forward(self, model, batch):
            loss, logs = supervised()(model, batch)
            return loss * self.scale + self.scale, logs

    objective, model = Scaled(), network(norm=False)
    config = TrainConfig(optimizer="sgd", clip_grad_norm=0.5)
    (batch, *_) = Points().epoch(1, 0)
    take_step(model, [batch], objective, build_optimizer(model, config, objective), config)
    gradients = [p.grad.norm() for p in (*model.parameters(), objective.scale)]
    assert float(torch.stack(gradients).norm()) == pytest.approx(0.5, rel=1e-4)
