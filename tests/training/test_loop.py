"""The loop, with toys for all that it is given."""

import pytest
import torch
from torch import nn

from atelier.config import TrainConfig
from atelier.data.batches import Batch
from atelier.errors import ConfigError
from atelier.training.loop import fit
from atelier.training.objectives import supervised
from atelier.training.optimizers import build_optimizer


class ToyBatches:
    """Three batches of points whose class is the sign of their first number."""

    batch_size = 8

    def __init__(self):
        self.seeds = []

    def __len__(self):
        return 3

    def epoch(self, epoch, seed):
        self.seeds.append((epoch, seed))
        generator = torch.Generator().manual_seed(seed)
        for _ in range(3):
            images = torch.randn(8, 4, generator=generator)
            yield Batch(images, (images[:, 0] > 0).long(), torch.arange(8))

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


class Notes:
    def __init__(self):
        self.updates = []

    def update(self, completed, note=""):
        self.updates.append((completed, note))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))


def two_rates(model, config):
    """SGD of which the last layer learns at a fourth of the rate."""
    first, last = list(model[0].parameters()), list(model[3].parameters())
    groups = [{"params": first}, {"params": last, "lr": config.lr / 4}]
    return torch.optim.SGD(groups, lr=config.lr)


def run(
    accuracies=None,
    *,
    model=None,
    batches=None,
    objective=None,
    build=build_optimizer,
    state=None,
    precision=torch.float32,
    states=None,
    **options,
):
    """The final state of a toy training, and the states after each epoch.

    `accuracies` are what validation finds, epoch by epoch; None is a training without validation.
    """
    config = TrainConfig(
        **{
            "num_epochs": 3 if accuracies is None else len(accuracies),
            "warmup_epochs": 0,
            "validation_share": 0 if accuracies is None else 0.1,
            "keep": "last" if accuracies is None else "best",
            **options,
        }
    )
    model = model or network()
    states = [] if states is None else states

    def validate(_model):
        done = len(states) + (len(state.history) if state else 0)
        return {"validation/loss": 1.0, "validation/accuracy": accuracies[done]}

    final = fit(
        model,
        batches or ToyBatches(),
        objective or supervised(),
        build(model, config),
        config,
        seed=0,
        validate=None if accuracies is None else validate,
        state=state,
        after_epoch=states.append,
        bar=Notes(),
        precision=precision,
    )
    return final, states


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_each_epoch_leaves_a_row_and_a_state():
    final, states = run([0.5, 0.6, 0.7])
    assert [len(state.history) for state in states] == [1, 2, 3]
    assert final is states[-1]
    for epoch, row in enumerate(final.history, start=1):
        assert row["epoch"] == epoch
        assert row["validation/accuracy"] == [0.5, 0.6, 0.7][epoch - 1]
        assert {"lr", "train/loss", "train/accuracy", "validation/loss", "seconds"} <= row.keys()
        assert row["images_per_second"] > 0
    seconds = [state.seconds for state in states]
    assert seconds == sorted(seconds)


def test_it_learns():
    final, _ = run(num_epochs=20, lr=0.05)
    assert final.history[-1]["train/accuracy"] > 0.85 > final.history[0]["train/accuracy"]


def test_the_best_epoch_is_kept_and_the_first_of_equals():
    final, states = run([0.5, 0.8, 0.6, 0.8])
    assert same(final.best, states[1].model)
    assert not same(final.best, final.model)


def test_the_last_epoch_is_kept_when_told():
    final, _ = run([0.5, 0.8, 0.6], keep="last")
    assert same(final.best, final.model)


def test_without_validation_the_last_epoch_is_kept():
    final, _ = run()
    assert same(final.best, final.model)
    assert not any(key.startswith("validation/") for key in final.history[-1])


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 4), (3, 6)])
def test_patience_ends_the_training(patience, epochs):
    final, states = run([0.5, 0.8, 0.7, 0.8, 0.9, 0.1], patience=patience)
    assert len(final.history) == epochs
    best = max(range(epochs), key=lambda i: final.history[i]["validation/accuracy"])
    assert same(final.best, states[best].model)


def test_a_training_out_of_patience_does_not_go_on_when_resumed():
    accuracies = [0.5, 0.4, 0.9]
    _, states = run(accuracies, patience=1)
    final, later = run(accuracies, patience=1, state=states[-1])
    assert not later
    assert len(final.history) == 2


def test_an_earlier_state_keeps_its_own_history_and_best():
    _, states = run([0.5, 0.6, 0.7])
    assert [row["epoch"] for row in states[0].history] == [1]
    assert same(states[0].best, states[0].model)


def test_every_epoch_has_its_own_randomness_that_follows_from_the_seed():
    seen = []
    for _ in range(2):
        batches = ToyBatches()
        run(batches=batches)
        assert [epoch for epoch, _ in batches.seeds] == [1, 2, 3]
        assert len({seed for _, seed in batches.seeds}) == 3
        seen.append(batches.seeds)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_going_on_equals_not_stopping(name):
    options = {"optimizer": name, "ema_decay": 0.7, "schedule": "plateau", "step_epochs": 1}
    accuracies = [0.5, 0.5, 0.6, 0.6, 0.6]
    whole, states = run(accuracies, **options)
    for stop in (1, 3):
        # The optimizer's state lives on in the later epochs of `run`: take it as it was.
        _, early = run(accuracies[:stop], **{**options, "num_epochs": stop})
        resumed, _ = run(accuracies, state=early[-1], **options)
        for part in ("model", "average", "best"):
            assert same(getattr(resumed, part), getattr(whole, part))
        assert [row["lr"] for row in resumed.history] == [row["lr"] for row in whole.history]
    assert len(states) == 5


def test_the_learning_rate_follows_the_schedule():
    final, _ = run(num_epochs=4, schedule="one-cycle", lr=1.0)
    # Of each epoch's last step of three.
    assert [row["lr"] for row in final.history] == pytest.approx(
        [1 - (epoch + 2 / 3) / 4 for epoch in range(4)]
    )


def test_plateau_lowers_the_learning_rate():
    final, _ = run([0.5, 0.5, 0.5], schedule="plateau", step_epochs=1, step_factor=0.1, lr=1.0)
    assert [row["lr"] for row in final.history] == pytest.approx([1.0, 1.0, 0.1])


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cosine", "step"])
def test_groups_of_other_peaks_keep_their_ratio_through_the_schedule(schedule):
    rates = []

    def build(model, config):
        optimizer = two_rates(model, config)
        optimizer.register_step_pre_hook(
            lambda it, *_: rates.append([group["lr"] for group in it.param_groups])
        )
        return optimizer

    options = {"num_epochs": 4, "schedule": schedule, "step_epochs": 1, "warmup_epochs": 1}
    final, _ = run(build=build, lr=0.4, **options)
    assert len(rates) == 12
    assert [first / 4 for first, _ in rates] == pytest.approx([last for _, last in rates])
    assert max(first for first, _ in rates) == pytest.approx(0.4)
    assert [row["lr"] for row in final.history] == pytest.approx(
        [rates[i][0] for i in (2, 5, 8, 11)]
    )


def test_a_resumed_training_keeps_the_peaks_of_its_groups():
    options = {"build": two_rates, "lr": 0.4, "schedule": "one-cycle"}
    whole, _ = run(num_epochs=4, **options)
    _, early = run(num_epochs=4, **options)
    # What `early` left after two epochs; its optimizer went on, and only its rates matter to SGD.
    resumed, later = run(num_epochs=4, state=early[1], **options)
    assert len(later) == 2
    assert same(resumed.model, whole.model)


@pytest.mark.parametrize(
    ("every", "measured"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (4, [4, 5]), (5, [5]), (99, [5])]
)
def test_validation_is_measured_as_often_as_asked_and_at_the_end(every, measured):
    final, _ = run([0.1, 0.2, 0.3, 0.4, 0.5], keep="last", validate_every=every)
    found = [row.get("validation/accuracy") for row in final.history]
    assert found == [epoch / 10 if epoch in measured else None for epoch in range(1, 6)]


def test_how_often_validation_is_measured_does_not_change_the_training():
    often, _ = run([0.5] * 4, keep="last")
    seldom, _ = run([0.5] * 4, keep="last", validate_every=3)
    assert same(often.best, seldom.best)


def test_in_bfloat16_the_network_computes_in_it_and_all_else_in_float32():
    computed, kept = set(), set()

    def objective(model, batch):
        loss, logs = supervised()(model, batch)
        kept.add(loss.dtype)
        return loss, logs

    def look(optimizer, *_):
        assert not torch.is_autocast_enabled("cpu")
        for weight, moments in optimizer.state.items():
            kept.update({weight.dtype, weight.grad.dtype}, {m.dtype for m in moments.values()})

    def build(model, config):
        model.register_forward_hook(lambda _model, _images, logits: computed.add(logits.dtype))
        optimizer = build_optimizer(model, config)
        optimizer.register_step_post_hook(look)
        return optimizer

    options = {"objective": objective, "build": build, "lr": 0.05}
    final, _ = run(precision=torch.bfloat16, **options)
    assert computed == {torch.bfloat16}
    assert kept == {value.dtype for value in final.best.values()} == {torch.float32}
    again, _ = run(precision=torch.bfloat16, **options)
    assert same(final.best, again.best)
    exact, _ = run(**options)
    assert computed == {torch.bfloat16, torch.float32}
    assert not same(final.best, exact.best)
    assert final.history[-1]["train/loss"] == pytest.approx(
        exact.history[-1]["train/loss"], rel=0.1
    )


def test_a_compiled_network_trains_the_weights_of_the_plain_one(monkeypatch):
    """Played, for to compile takes a compiler and a minute."""

    class Compiled(nn.Module):
        def __init__(self, model):
            super().__init__()
            self._orig_mod = model

        def forward(self, images):
            return self._orig_mod(images)

    seen = []

    def objective(model, batch):
        seen.append(type(model))
        return supervised()(model, batch)

    monkeypatch.setattr(torch, "compile", Compiled)
    compiled, _ = run([0.5, 0.6], compile=True, objective=objective, ema_decay=0.9)
    assert set(seen) == {Compiled}
    plain, _ = run([0.5, 0.6], ema_decay=0.9)
    assert compiled.model.keys() == network().state_dict().keys()
    for part in ("model", "best", "average"):
        assert same(getattr(compiled, part), getattr(plain, part))


def test_gradients_are_clipped():
    class Recorder(torch.optim.SGD):
        norms = ()

        def step(self, closure):
            loss = closure()
            grads = [p.grad.norm() for group in self.param_groups for p in group["params"]]
            self.norms = (*self.norms, float(torch.stack(grads).norm()))
            return loss

    largest = {}
    for limit in (0.0, 0.01):
        model = network()
        optimizer = Recorder(model.parameters(), lr=0.1)
        run(model=model, build=lambda *_, it=optimizer: it, clip_grad_norm=limit)
        largest[limit] = max(optimizer.norms)
    assert largest[0.01] == pytest.approx(0.01, rel=1e-3)
    assert largest[0.0] > 0.1


def test_an_optimizer_may_ask_for_the_gradient_twice():
    """As SAM (Foret et al. 2021, arXiv:2010.01412) does."""

    class TwoPasses(torch.optim.SGD):
        calls = 0

        def step(self, closure):
            first, second = float(closure()), float(closure())
            self.calls += 2
            assert first >= 0
            super().step()
            return second

    model = network()
    optimizer = TwoPasses(model.parameters(), lr=0.1)
    final, _ = run(model=model, build=lambda *_: optimizer, num_epochs=2)
    assert optimizer.calls == 2 * 2 * 3
    assert final.history[-1]["train/loss"] > 0


def test_the_average_of_the_weights_is_what_is_kept():
    model = network()
    start = {key: value.clone() for key, value in model.state_dict().items()}
    final, _ = run(model=model, num_epochs=1, ema_decay=0.99, lr=0.05)
    plain, _ = run(num_epochs=1, lr=0.05)
    assert same(final.model, plain.model)  # the average watches, and does not interfere
    moved = sum(float((final.model[key] - start[key]).norm()) for key in start)
    kept = sum(float((final.best[key] - start[key]).norm()) for key in start)
    assert 0 < kept < moved


def test_the_average_follows_its_formula():
    recorded = []

    def objective(model, batch):
        recorded.append(model[0].weight.detach().clone())
        return supervised()(model, batch)

    final, _ = run(num_epochs=1, ema_decay=0.9, objective=objective)
    after = [*recorded[1:], final.model["0.weight"]]  # the weights after each step
    average = after[0]
    for weight in after[1:]:
        average = 0.9 * average + 0.1 * weight
    assert torch.allclose(final.best["0.weight"], average, atol=1e-6)


def test_a_loss_that_is_no_number_is_one_line_and_leaves_the_last_good_state():
    calls = []

    def objective(model, batch):
        calls.append(None)
        loss, logs = supervised()(model, batch)
        factor = float("nan") if len(calls) > 3 else 1.0  # from the second epoch on
        return loss * factor, {name: value * factor for name, value in logs.items()}

    states = []
    with pytest.raises(ConfigError, match=r"train/loss of epoch 2.*train\.lr") as caught:
        run(objective=objective, states=states)
    assert "\n" not in str(caught.value)
    assert len(states) == 1
    assert all(value.isfinite().all() for value in states[0].best.values())
