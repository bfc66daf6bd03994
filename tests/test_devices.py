"""Devices by name, and words on the machine. CUDA is played, for few machines that test have it."""

import pytest
import torch

from atelier import devices
from atelier.devices import (
    describe_machine,
    keep_freed_memory,
    resolve_device,
    resolve_precision,
)
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


CPUINFO = """\
processor\t: {number}
model name\t: Some Processor: 3 GHz
flags\t\t: fpu {flags} sse

"""


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    """A function that sets what Linux seems to say of two cores."""

    def seem(text):
        path = tmp_path / "cpuinfo"
        path.write_text(text)
        monkeypatch.setattr(devices, "Path", lambda _path: path)

    return seem


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("amx_tile amx_bf16", torch.bfloat16),
        ("avx512f avx512_bf16", torch.bfloat16),
        ("avx512f amx_tile", torch.float32),
        ("amx_bf16x", torch.float32),
        ("", torch.float32),
    ],
)
def test_auto_precision_takes_bfloat16_where_the_processor_is_fast_at_it(cpuinfo, flags, expected):
    cpuinfo("".join(CPUINFO.format(number=number, flags=flags) for number in range(2)))
    assert resolve_precision("auto", torch.device("cpu")) == expected


@pytest.mark.parametrize("text", ["", "CPU architecture: 8\nFeatures\t: fp asimd bf16\n", "::\n"])
def test_auto_precision_of_an_unknown_processor_is_float32(cpuinfo, text):
    cpuinfo(text)
    assert resolve_precision("auto", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((7, 5), torch.float32),
        ((8, 0), torch.bfloat16),
        ((8, 9), torch.bfloat16),
        ((12, 0), torch.bfloat16),
    ],
)
def test_auto_precision_of_a_cuda_device(monkeypatch, capability, expected):
    asked = []

    def get_device_capability(device):
        asked.append(device)
        return capability

    monkeypatch.setattr(torch.cuda, "get_device_capability", get_device_capability)
    monkeypatch.setattr(devices, "_cpu_facts", dict)  # of no importance here
    device = torch.device("cuda", 1)
    assert resolve_precision("auto", device) == expected
    assert asked == [device]


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_precision_by_name_is_taken_whatever_the_device(monkeypatch, kind):
    monkeypatch.setattr(devices, "_cpu_facts", dict)
    assert resolve_precision("float32", torch.device(kind)) == torch.float32
    assert resolve_precision("bfloat16", torch.device(kind)) == torch.bfloat16


def test_the_processor_is_described_by_its_name_and_cores(cpuinfo):
    cpuinfo("".join(CPUINFO.format(number=number, flags="") for number in range(2)))
    processor = describe_machine(torch.device("cpu"))["processor"]
    assert processor == "Some Processor: 3 GHz, 2 cores"


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
