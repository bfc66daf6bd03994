"""Small real data in every form in which data come."""

import gzip
import struct
from pathlib import Path

import pytest

from atelier.data import datasets, load_dataset, sources
from atelier.data.idx import read_idx

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def write_idx(path: Path, values, *, zipped=False):
    """Write `values` as an IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    data = header + values.astype("uint8").tobytes()
    path.write_bytes(gzip.compress(data, 1) if zipped else data)


@pytest.fixture(scope="session")
def write_folder():
    """A function that writes four IDX files; `parts` maps train-images ... to arrays."""

    def write(folder: Path, parts, *, zipped=True):
        folder.mkdir(parents=True, exist_ok=True)
        for part, values in parts.items():
            write_idx(folder / (NAMES[part] + ".gz" * zipped), values, zipped=zipped)
        return folder

    return write


@pytest.fixture(scope="session")
def sample():
    """The packaged 1,000 + 500 real images."""
    return load_dataset("fashion-mnist-sample")


@pytest.fixture(scope="session")
def parts(sample):
    """The sample's first images as the arrays of four IDX files."""
    return {
        "train-images": sample.train.images[:200, 0],
        "train-labels": sample.train.labels[:200],
        "t10k-images": sample.test.images[:100, 0],
        "t10k-labels": sample.test.labels[:100],
    }


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of the cache, not there yet."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ATELIER_CACHE", str(folder))
    return folder


@pytest.fixture
def published(tmp_path, parts, write_folder, monkeypatch):
    """A folder of small files, whose checksums are taken for the published ones."""
    folder = write_folder(tmp_path / "published", parts)
    checksums = {
        part: read_idx(next(folder.glob(f"{part}*")), dimensions=values.ndim).sha256
        for part, values in parts.items()
    }
    monkeypatch.setattr(datasets, "FASHION_MNIST_CHECKSUMS", checksums)
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", Path("/nowhere/fashion-mnist"))
    return folder


@pytest.fixture
def said():
    """The lines that a fetch says."""
    return []


@pytest.fixture
def only(monkeypatch):
    """A function that leaves only the wanted ones of the sources."""

    def leave(*wanted):
        left = tuple(pair for pair in sources.SOURCES if pair[1] in wanted)
        monkeypatch.setattr(sources, "SOURCES", left)

    return leave


@pytest.fixture
def left_behind(cache):
    """A function that lists the files in the cache."""
    return lambda: [path for path in cache.rglob("*") if path.is_file()]
