"""Getting Fashion-MNIST onto this machine, from wherever it can be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path

from ..config import PhotosConfig
from ..errors import DataError, StorageError
from ..progress import Bar, progress_bar
from ..storage import explained
from . import datasets
from .cache import cache_dir, save_arrays
from .datasets import FASHION_MNIST, Dataset, readable
from .idx_folder import read_idx_folder

Say = Callable[[str], None]

SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
APT_PACKAGE = "dataset-fashion-mnist"
_MIRROR_TIMEOUT_SECONDS = 5.0
_APT_TIMEOUT_SECONDS = 600.0
_MAX_DOWNLOAD_BYTES = 64 * 2**20
_CHUNK = 2**16
_APT_FIX = "Run `apt-get update` as root and try again"
_MEND = f"Put its four files in a folder and run `atelier fetch {FASHION_MNIST} --from DIR`"


def fetch(
    name: str = FASHION_MNIST,
    *,
    source_dir: str | Path | None = None,
    refresh: bool = False,
    progress: bool = True,
    say: Say | None = None,
) -> Dataset:
    """Get a data set, check it, and keep it in the cache.

    Tried in this order: `source_dir`; the cache; the folder of Debian's package; torchvision's
    mirrors; the Debian package itself, by apt-get and without root. A `source_dir` that does not
    hold the data set is an error, because the user has said where to look. The SHA-256 of each
    decompressed file must be the published one, whatever the source.

    Args:
        name: ``fashion-mnist``; what needs no fetching (the sample, a folder) is only loaded.
        source_dir: a folder with the four IDX files, plain or .gz.
        refresh: do not use the cache, but replace it.
        progress: show progress bars on standard error.
        say: receives one line for each source tried; standard error by default.

    Raises:
        DataError: no source has it, or the given one is corrupt.
        StorageError: the cache cannot be written; nothing is left behind.
    """
    say = say or _say
    if name != FASHION_MNIST:
        if source_dir is not None:
            raise DataError(
                f"only {FASHION_MNIST} is fetched from a folder",
                got=name,
                fix="To use a folder of IDX files as it is, give the folder as the data set",
            )
        return datasets.load_dataset(name)
    try:
        with explained(cache_dir()):
            if source_dir is not None:
                say(f"{name}: reading {source_dir}")
                return _keep(_read_checked(Path(source_dir).expanduser()), say)
            if not refresh and (cached := _from_cache(say)):
                return cached
            return _from_first(say, progress)
    except StorageError as error:
        raise StorageError(
            error.problem,
            fix="Free 150 MB there, or set ATELIER_CACHE to a folder that has them",
        ) from error


def _from_first(say: Say, progress: bool) -> Dataset:
    failures = []
    cache_dir().mkdir(parents=True, exist_ok=True)
    for title, source in SOURCES:
        say(f"{FASHION_MNIST}: trying {title}")
        # On the disk of the cache: the system's temporary folder may be a small one.
        with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=".fetch-") as workspace:
            try:
                dataset = _read_checked(source(Path(workspace), progress))
            except DataError as error:
                say(f"{FASHION_MNIST}: {error}")
                failures.append(f"{title} ({error.problem})")
                continue
            return _keep(dataset, say)
    raise DataError(f"cannot get {FASHION_MNIST}; tried {', '.join(failures)}", fix=_MEND)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _from_cache(say: Say) -> Dataset | None:
    folder = datasets.cached_path(FASHION_MNIST)
    if not folder.exists():
        say(f"{FASHION_MNIST}: not in the cache yet ({folder})")
        return None
    try:
        dataset = datasets.open_cached(FASHION_MNIST)
    except DataError as error:
        say(f"{FASHION_MNIST}: {error.problem}; fetching it again")
        return None
    say(f"{FASHION_MNIST}: in the cache ({folder})")
    return dataset


def _keep(dataset: Dataset, say: Say) -> Dataset:
    arrays, facts = datasets.to_arrays(dataset)
    folder = datasets.cached_path(FASHION_MNIST)
    save_arrays(folder, arrays, facts)
    say(f"{FASHION_MNIST}: checked, and kept in {folder}")
    return datasets.open_cached(FASHION_MNIST)


def _read_checked(folder: Path) -> Dataset:
    with readable(folder):
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}")
    read = read_idx_folder(folder)
    for part, expected in datasets.FASHION_MNIST_CHECKSUMS.items():
        if read.checksums[part] != expected:
            raise DataError(
                f"the {part} in {folder} are not those of Fashion-MNIST: wrong SHA-256",
                got=read.checksums[part],
                allowed=expected,
                fix="Use the files published since 31 August 2017",
            )
    classes = datasets.FASHION_MNIST_CLASSES  # whatever a classes.txt beside the files says
    train, test = read.dataset.train, read.dataset.judged[1]
    return replace(
        read.dataset,
        name=FASHION_MNIST,
        classes=classes,
        fingerprint=datasets.fingerprint_of(train, test, classes),
    )


def from_system(_workspace: Path, _progress: bool) -> Path:
    """The folder in which Debian's package puts the files."""
    return SYSTEM_FOLDER


def from_mirrors(workspace: Path, progress: bool) -> Path:
    """Download from the addresses that torchvision knows."""
    from torchvision.datasets import FashionMNIST  # takes seconds to import

    reasons = []
    for mirror in FashionMNIST.mirrors:
        try:
            for file_name, _ in FashionMNIST.resources:
                _download(mirror + file_name, workspace / file_name, progress)
            return workspace
        except DataError as error:
            reasons.append(error.problem)
    raise DataError("; ".join(reasons) or "torchvision knows no mirror")


def _download(url: str, path: Path, progress: bool) -> None:
    # Only the network's errors are caught here: one from writing the file is about the disk.
    with _network(url):
        response = urllib.request.urlopen(url, timeout=_MIRROR_TIMEOUT_SECONDS)
    with response, path.open("wb") as file:
        size = int(response.headers.get("Content-Length") or 0)
        with progress_bar(path.name, size or 1, show=progress) as bar:
            done = 0
            while True:
                with _network(url):
                    chunk = response.read(_CHUNK)
                if not chunk:
                    break
                file.write(chunk)
                done += len(chunk)
                if done > _MAX_DOWNLOAD_BYTES:
                    raise DataError(f"{url} sends more than {_MAX_DOWNLOAD_BYTES:,} bytes")
                bar.update(min(done, size or 1), f"{done / 1e6:.1f} MB")
    if done < size:
        raise DataError(f"{url} was cut off after {done:,} of {size:,} bytes")


@contextmanager
def _network(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPException) as error:  # URLError and a timeout are OSErrors
        raise DataError(f"cannot download {url}: {error}") from error


def from_apt(workspace: Path, progress: bool) -> Path:
    """Download Debian's package with apt-get and unpack it; needs no root."""
    for program in ("apt-get", "dpkg"):
        if shutil.which(program) is None:
            raise DataError(f"this machine has no {program}")
    described = _run(["apt-get", "download", "--print-uris", APT_PACKAGE], workspace)
    try:
        _, file_name, size = described.splitlines()[-1].split()[:3]
        size_bytes = int(size)
    except (IndexError, ValueError) as error:
        raise DataError(f"apt-get does not say where {APT_PACKAGE} is", fix=_APT_FIX) from error
    package = workspace / file_name

    def watch(bar: Bar) -> None:
        done = package.stat().st_size if package.exists() else 0
        bar.update(min(done, size_bytes), f"{done / 1e6:.1f} MB")

    with progress_bar(APT_PACKAGE, size_bytes, show=progress) as bar:
        _run(["apt-get", "download", APT_PACKAGE], workspace, lambda: watch(bar))
        watch(bar)
    _run(["dpkg", "-x", str(package), "unpacked"], workspace)
    return workspace / "unpacked" / SYSTEM_FOLDER.relative_to("/")


def _run(command: list[str], folder: Path, watch: Callable[[], None] = lambda: None) -> str:
    """Run a program in `folder`, calling `watch` now and then; returns what it prints."""
    deadline = time.monotonic() + _APT_TIMEOUT_SECONDS
    log = folder / "log.txt"
    # LC_ALL=C: the last line is quoted in our own error message.
    environment = {**os.environ, "LC_ALL": "C"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        try:
            while True:
                try:
                    output, _ = process.communicate(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    watch()
                    if time.monotonic() > deadline:
                        raise DataError(
                            f"{command[0]} took over {_APT_TIMEOUT_SECONDS:.0f} s", fix=_APT_FIX
                        ) from None
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {process.returncode}"
        raise DataError(f"`{' '.join(command[:2])}` failed: {reason}", fix=_APT_FIX)
    return output.decode(errors="replace")


Source = Callable[[Path, bool], Path]
# Each puts the files in the given empty folder, or returns another folder that has them.
SOURCES: tuple[tuple[str, Source], ...] = (
    (f"the system's copy in {SYSTEM_FOLDER}", from_system),
    ("torchvision's mirrors", from_mirrors),
    (f"`apt-get download {APT_PACKAGE}`", from_apt),
)


def obtain_dataset(
    spec: str, photos: PhotosConfig | None = None, *, progress: bool = True
) -> Dataset:
    """`load_dataset`, which fetches Fashion-MNIST first if it is not on this machine yet, also
    where `spec` is a view of it.

    Raises:
        DataError: unknown, corrupt, or not to be had.
        StorageError: the cache cannot be written.
    """
    from .derived import source_of

    if source_of(spec) == FASHION_MNIST and not datasets.cached_path(FASHION_MNIST).exists():
        fetch(FASHION_MNIST, progress=progress)
    return datasets.load_dataset(spec, photos, progress=progress)
