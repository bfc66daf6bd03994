"""Checkpoints: what goes in comes out, and nothing else is taken for one."""

import copy
import errno
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from atelier.config import TrainConfig
from atelier.errors import AtelierError, RunError, StorageError
from atelier.training import checkpoints
from atelier.training.checkpoints import (
    SparingSaver,
    TrainingState,
    copy_state,
    copy_weights,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from atelier.training.optimizers import build_optimizer


class Forgetful:
    """Batches that know nothing of earlier epochs."""

    def load_state_dict(self, state):
        assert state == {}


def network(width=3):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)
    )
    model(torch.zeros(2, 2, 4, 4))
    # As the models of atelier lie in memory, whose layout a checkpoint must not change.
    return model.to(memory_format=torch.channels_last)


def take_step(model, optimizer, seed):
    images = torch.randn(8, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), torch.arange(8) % 3).backward()
    optimizer.step()


def trained(name="adamw"):
    model = network()
    optimizer = build_optimizer(model, TrainConfig(optimizer=name))
    for seed in range(3):
        take_step(model, optimizer, seed)
    return model, optimizer


def state_of(model, optimizer):
    return TrainingState(
        model=copy_weights(model),
        optimizer=copy_state(optimizer),
        average={"n_averaged": torch.tensor(3), "module.0.weight": torch.ones(2)},
        best=copy_weights(model),
        history=[{"epoch": 1, "lr": 0.1 + 0.2, "validation/accuracy": 0.5}],
        seconds=1.25,
    )


@pytest.fixture
def saved(tmp_path):
    """A checkpoint on disk."""
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, state_of(*trained()))
    return path


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "muon", "muon-adamw"])
def test_what_is_saved_comes_back(tmp_path, name):
    before = state_of(*trained(name))
    save_checkpoint(tmp_path / "c.safetensors", before)
    after = load_checkpoint(tmp_path / "c.safetensors")
    for part in ("model", "average", "best"):
        assert same(getattr(before, part), getattr(after, part))
    assert (after.history, after.seconds) == (before.history, before.seconds)
    # JSON has no tuples, and torch takes a list for one.
    groups = json.loads(json.dumps(before.optimizer["param_groups"]))
    assert after.optimizer["param_groups"] == groups
    for index, values in before.optimizer["state"].items():
        assert same(values, after.optimizer["state"][index])


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "muon", "muon-adamw"])
def test_training_goes_on_bit_for_bit(tmp_path, name):
    model, optimizer = trained(name)
    save_checkpoint(tmp_path / "c.safetensors", state_of(model, optimizer))
    again = network()
    again_optimizer = build_optimizer(again, TrainConfig(optimizer=name))
    restore(load_checkpoint(tmp_path / "c.safetensors"), again, again_optimizer, None, Forgetful())
    for seed in range(3, 6):
        take_step(model, optimizer, seed)
        take_step(again, again_optimizer, seed)
    assert same(copy_weights(model), copy_weights(again))


def test_a_copy_does_not_follow_its_model():
    model, optimizer = trained()
    copied = copy_weights(model)
    before = copy.deepcopy(copied)
    take_step(model, optimizer, 9)
    assert same(copied, before)


def test_a_missing_checkpoint_says_what_to_do(tmp_path):
    with pytest.raises(RunError, match=r"nothing to resume.*--overwrite"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_a_cut_off_checkpoint_is_corrupt(saved, share):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RunError, match="is corrupt") as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"other": "{}"},
        {"state": "not JSON"},
        {"state": "[]"},
        {"state": "{}"},
        {"state": '{"scalars": {"x": {}}, "param_groups": [], "history": [], "seconds": 0}'},
        {"state": '{"scalars": [], "param_groups": [], "history": [], "seconds": 0}'},
    ],
)
def test_a_foreign_file_is_corrupt(tmp_path, metadata):
    save_file({"model/x": torch.zeros(1)}, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(RunError, match="is corrupt"):
        load_checkpoint(tmp_path / "c.safetensors")


def test_a_tensor_of_an_unknown_part_is_corrupt(tmp_path):
    metadata = {"state": '{"scalars": {}, "param_groups": [], "history": [], "seconds": 0}'}
    save_file({"teacher/x": torch.zeros(1)}, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(RunError, match="is corrupt"):
        load_checkpoint(tmp_path / "c.safetensors")


def test_a_checkpoint_of_another_model_is_refused(saved):
    model = network(width=4)
    optimizer = build_optimizer(model, TrainConfig())
    with pytest.raises(RunError, match="of another recipe") as caught:
        restore(load_checkpoint(saved), model, optimizer, None, Forgetful())
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_last_checkpoint(saved, monkeypatch):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_checkpoint(saved, state_of(*trained()))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_in_the_way_is_one_line(tmp_path):
    with pytest.raises(AtelierError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["adamw", "sgd", "muon"])
def test_a_state_stays_as_it_was_while_the_training_goes_on(tmp_path, name):
    model, optimizer = trained(name)
    before = state_of(model, optimizer)
    save_checkpoint(tmp_path / "at once.safetensors", before)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    save_checkpoint(tmp_path / "later.safetensors", before)
    at_once, later = (tmp_path / f"{when}.safetensors" for when in ("at once", "later"))
    assert at_once.read_bytes() == later.read_bytes()


class Disk:
    """Takes a second to write, and the epochs between two writes as long as they are given."""

    def __init__(self, monkeypatch):
        self.now, self.written = 0.0, []
        monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: self.now)

    def write(self, state):
        self.now += 1
        self.written.append(state)


@pytest.mark.parametrize(("epoch", "expected"), [(20.0, [1, 2, 3, 4]), (7.0, [1, 4]), (0.1, [1])])
def test_saving_takes_a_twentieth_of_the_time_at_most(monkeypatch, epoch, expected):
    disk = Disk(monkeypatch)
    with SparingSaver(disk.write) as saved:
        for number in range(1, 5):
            disk.now += epoch
            saved(number)
    assert disk.written == expected


def test_what_stands_aside_is_saved_when_the_training_is_stopped(monkeypatch):
    disk = Disk(monkeypatch)

    def stopped():
        with SparingSaver(disk.write) as saved:
            saved("first")
            saved("second")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert disk.written == ["first", "second"]


def test_what_could_not_be_saved_is_not_tried_again(monkeypatch):
    tried = []

    def full(state):
        tried.append(state)
        raise StorageError("no space left")

    with pytest.raises(StorageError), SparingSaver(full) as saved:
        saved("first")
    assert tried == ["first"]
