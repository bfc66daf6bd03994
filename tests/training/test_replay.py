"""A recorded step is the step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from atelier.config import TrainConfig
from atelier.data.batches import Batch
from atelier.data.mixing import Mixed
from atelier.training import loop, train
from atelier.training.loop import take_step
from atelier.training.objectives import supervised
from atelier.training.optimizers import build_optimizer
from atelier.training.replay import CudaRecorder, ReplayedStep, can_be_recorded

Result = TypeVar("Result")


class Again:
    """What a GPU does with a recording, on a CPU: the work over again, on the same tensors."""

    def __init__(self) -> None:
        self.now = self.recordings = 0

    def aside(self, work: Callable[[], Result]) -> Result:
        self.now += 1
        return work()

    def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
        self.recordings += 1
        return work


class Counting(CudaRecorder):
    """A GPU's own recordings, counted where it makes them."""

    def __init__(self) -> None:
        super().__init__(torch.device("cuda"))
        self.now = self.recordings = 0

    def aside(self, work: Callable[[], Result]) -> Result:
        self.now += 1
        return super().aside(work)

    def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
        again = super().record(work)
        self.recordings += 1
        return again


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 36, 3),
    )


def batches(count: int, *, size: int = 8, weighted: bool = False) -> list[Batch]:
    draw = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        images = torch.randn(size, 1, 8, 8, generator=draw)
        labels = torch.randint(0, 3, (size,), generator=draw)
        weights = torch.rand(size, generator=draw) if weighted else None
        made.append(Batch(images, labels, torch.arange(size), weights=weights))
    return made


def trained(
    config: TrainConfig, seen: list[Batch], recorder: Again | Counting | None
) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    device = "cuda" if isinstance(recorder, Counting) else "cpu"
    model = network().to(device)
    optimizer = build_optimizer(model, config)
    step = partial(take_step, model, objective=supervised(), optimizer=optimizer, config=config)
    taken = step if recorder is None else ReplayedStep(step, optimizer, recorder)
    peaks = [group["lr"] for group in optimizer.param_groups]
    logs = []
    for number, batch in enumerate(seen):
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * (1 - number / len(seen))
        told = taken([_on(batch, device)])
        logs.append({name: float(value) for name, value in told.items()})
    assert all(isinstance(group["lr"], float) for group in optimizer.param_groups)
    return {name: value.cpu() for name, value in model.state_dict().items()}, logs


def _on(batch: Batch, device: str) -> Batch:
    moved = [batch.images.to(device), batch.labels.to(device), batch.positions.to(device)]
    weights = None if batch.weights is None else batch.weights.to(device)
    return Batch(*moved, weights=weights, observe=batch.observe)


# Where there is a GPU, its own recordings too; elsewhere they are not skipped but not there.
RECORDERS = [Again, Counting] if torch.cuda.is_available() else [Again]


@pytest.mark.parametrize("make_recorder", RECORDERS)
@pytest.mark.parametrize("sharpness", ["none", "sam"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon", "muon-adamw"])
def test_replayed_steps_are_those_that_were_not_recorded(
    optimizer: str, sharpness: str, make_recorder: type[Again | Counting]
) -> None:
    config = TrainConfig(optimizer=optimizer, lr=0.01, sharpness=sharpness)
    assert can_be_recorded(config)
    seen, recorder = batches(8), make_recorder()
    weights, logs = trained(config, seen, recorder)
    expected, expected_logs = trained(config, seen, None)
    assert recorder.recordings == 1
    assert recorder.now < len(seen)
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=2e-3, atol=2e-4)
    for told, wanted in zip(logs, expected_logs, strict=True):
        assert told == pytest.approx(wanted, abs=1e-3)


def test_batches_of_another_shape_are_recorded_anew() -> None:
    config, recorder = TrainConfig(optimizer="sgd", lr=0.01), Again()
    seen = [*batches(5), *batches(5, size=6), *batches(5, size=6, weighted=True)]
    weights, _ = trained(config, seen, recorder)
    expected, _ = trained(config, seen, None)
    assert recorder.recordings == 3
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value)


def test_the_losses_of_a_replayed_step_are_observed() -> None:
    known: list[list[Tensor]] = [[], []]
    config = TrainConfig(optimizer="sgd", lr=0.01)
    for losses, recorder in zip(known, (Again(), None), strict=True):
        seen = [
            Batch(
                b.images, b.labels, b.positions, observe=lambda x, to=losses: to.append(x.clone())
            )
            for b in batches(6)
        ]
        trained(config, seen, recorder)
    assert len(known[0]) == len(known[1]) == 6
    torch.testing.assert_close(torch.stack(known[0]), torch.stack(known[1]))


def test_a_mixed_batch_is_replayed_with_its_own_partners() -> None:
    model, recorder = network(), Again()
    taken: list[Mixed] = []

    def step(group: list[Batch]) -> dict[str, Tensor]:
        (batch,) = group
        assert batch.mixed is not None
        taken.append(Mixed(batch.mixed.partners.clone(), batch.mixed.share.clone()))
        return {"loss": batch.mixed.share.mean()}

    steps = ReplayedStep(step, torch.optim.SGD(model.parameters(), lr=0.1), recorder)
    shares = np.linspace(0.1, 0.9, 6)
    for batch, share in zip(batches(6), shares, strict=True):
        mixed = Mixed(torch.arange(8).roll(1), torch.full((8,), float(share)))
        whole = Batch(batch.images, batch.labels, batch.positions, mixed=mixed)
        assert float(steps([whole])["loss"]) == pytest.approx(share)
    assert [float(mixed.share[0]) for mixed in taken] == pytest.approx(shares)


def test_steps_that_the_device_refuses_to_record_are_taken_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refuses(Again):
        def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
            del work
            self.recordings += 1
            raise RuntimeError("operation not permitted when stream is capturing")

    config, recorder = TrainConfig(optimizer="muon", lr=0.01), Refuses()
    weights, _ = trained(config, batches(8), recorder)
    expected, _ = trained(config, batches(8), None)
    assert (recorder.recordings, recorder.now) == (1, 8)
    (told,) = caplog.messages
    assert "one by one" in told
    assert "not permitted when stream is capturing" in told
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value)


def test_a_recording_that_memory_is_too_short_for_is_an_error() -> None:
    class Full(Again):
        def record(self, work: Callable[[], Result]) -> Callable[[], Result]:
            del work
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        trained(TrainConfig(optimizer="sgd"), batches(8), Full())


def test_what_cannot_be_recorded_is_known() -> None:
    assert not can_be_recorded(TrainConfig(optimizer="lion"))
    assert not can_be_recorded(TrainConfig(freeze="backbone"))
    assert not can_be_recorded(TrainConfig(accumulate=2))


@pytest.mark.parametrize(
    ("recipe", "overrides"),
    [
        (
            "fast-91",
            ["train.prune=0.5", "augment.cutmix=1", "model.widths=[8,8]", "train.num_epochs=4"],
        ),
        ("fast-91", ["train.start_size=12", "train.num_epochs=3", "model.widths=[8,8]"]),
        ("noisy-gce", ["model.widths=[8,8]", "train.label_noise=0.4"]),
        ("mlp", ["method=jensen-shannon", "model.width=16"]),
        ("flexmatch", ["train.labels=100", "train.batch_size=20", "model.widths=[8,8]"]),
        ("mean-teacher", ["train.labels=100", "train.batch_size=20", "model.widths=[8,8]"]),
    ],
)
def test_a_training_whose_steps_are_replayed_is_the_same_training(
    recipe: str, overrides: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ["train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=100", *overrides]
    options = {"data": "fashion-mnist-sample", "overrides": small, "progress": False}
    recorder = Again()
    with monkeypatch.context() as patch:
        patch.setattr(loop, "recorder_for", lambda _: recorder)
        runs = [train(recipe, out=tmp_path / "replayed", **options)]
    runs.append(train(recipe, out=tmp_path / "plain", **options))
    assert recorder.recordings > 0
    replayed, plain = ([row["train/loss"] for row in run.history] for run in runs)
    assert replayed == pytest.approx(plain, rel=1e-3)
