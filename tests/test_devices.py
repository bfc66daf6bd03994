"""Devices by name, and words on the machine. CUDA is played, for few machines that test have it."""

import pytest
import torch

from atelier import devices
from atelier.devices import describe_machine, keep_freed_memory, resolve_device
from atelier.errors import DeviceError


@pytest.fixture
def cuda_devices(monkeypatch):
    """A function that sets how many CUDA devices there seem to be."""

    def seem(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return seem


@pytest.mark.parametrize(("count", "kind"), [(0, "cpu"), (2, "cuda")])
def test_auto_takes_cuda_where_there_is_one(cuda_devices, count, kind):
    cuda_devices(count)
    assert resolve_device() == torch.device(kind)
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1", "cuda:01"])
def test_cuda_by_number(cuda_devices, name):
    cuda_devices(2)
    device = resolve_device(name)
    assert device.type == "cuda"
    assert device.index == (int(name[5:]) if ":" in name else None)


@pytest.mark.parametrize(
    ("count", "name"), [(0, "cuda"), (0, "cuda:0"), (1, "cuda:1"), (2, "cuda:99999999999999999999")]
)
def test_a_device_that_is_not_there(cuda_devices, count, name):
    cuda_devices(count)
    with pytest.raises(DeviceError) as caught:
        resolve_device(name)
    assert f"no device {name}: torch sees {count} CUDA devices" in str(caught.value)
    assert "--device cpu" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "CPU", "mps", "cpu:", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", " cpu"],
)
def test_an_unknown_name(cuda_devices, name):
    cuda_devices(2)
    with pytest.raises(
        DeviceError, match=r"unknown device; got .*; allowed: auto, cpu, cuda, cuda:N"
    ):
        resolve_device(name)


def test_the_machine_is_described_in_plain_values():
    machine = describe_machine(torch.device("cpu"))
    assert machine["torch"] == torch.__version__
    assert machine["device"] == "cpu"
    assert machine["threads"] >= 1
    assert all(machine[key] for key in ("python", "platform"))


def test_a_machine_without_cpuinfo_is_described_all_the_same(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "Path", lambda _path: tmp_path / "missing")
    assert isinstance(describe_machine(torch.device("cpu"))["processor"], str)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_keeping_freed_memory_harms_no_system(monkeypatch, system):
    monkeypatch.setattr(devices.sys, "platform", system)
    keep_freed_memory.cache_clear()
    keep_freed_memory()
