"""What every test gets: its own cache, no network, one thread, and a terminal of a known width."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

Connect = Callable[[socket.socket, Any], Any]

# One thread: tests are small, and waiting for a shared core costs more than it brings. Set before
# anything imports NumPy or torch.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# UMAP takes a minute to compile, and seconds to lay out a test's few points without.
os.environ["NUMBA_DISABLE_JIT"] = "1"

# A deadline measures how busy the machine is; a random seed makes a failure that nobody can repeat.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail that skips where CI is set: `.ci/run` has promised that all are run."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which may not be where CI is set: {report.longreprtext}"
    return report


@pytest.fixture(autouse=True)
def own_surroundings(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep the user's cache and terminal out of the tests, and the tests out of theirs."""
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection but those within this machine."""

    def guarded(
        connect: Callable[[socket.socket, Any], Any],
    ) -> Callable[[socket.socket, Any], Any]:
        def connect_within(self: socket.socket, address: Any) -> Any:
            within = self.family == getattr(socket, "AF_UNIX", None) or str(address[0]) in {
                "127.0.0.1",
                "::1",
                "localhost",
            }
            if not within:
                raise OSError(f"tests are offline; a connection to {address} was refused")
            return connect(self, address)

        return connect_within

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


def pytest_runtest_setup() -> None:
    """Keep what torch's ONNX exporter knows of operators once it is loaded: it would gather that
    anew for each export, for a second."""
    exporter = sys.modules.get("torch.onnx._internal.exporter._registration")
    if exporter is None or hasattr(exporter.ONNXRegistry.from_torchlib, "cache_info"):
        return
    kept = functools.cache(exporter.ONNXRegistry.from_torchlib)
    exporter.ONNXRegistry.from_torchlib = staticmethod(kept)


@pytest.fixture
def repository() -> Path:
    """The root of this repository."""
    return Path(__file__).resolve().parent.parent


# One tiny training that many tests share: 1,000 real images, 16 hidden units.
TINY = ("train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=64")
NARROW = {
    "mlp": ("model.width=16",),
    "cnn": ("model.channels=[4,8]", "model.dense=16"),
}


@pytest.fixture(scope="session")
def train_tiny() -> Callable[..., Any]:
    """A function that trains a narrow network for two epochs on the sample, without a bar."""

    def train(
        out: Path, *overrides: str, recipe: str = "mlp", seed: int = 0, **options: Any
    ) -> Any:
        import atelier
        from atelier.config import Recipe, SpeedNetConfig

        # Of our own, for no test should hang on the numbers of the fast recipes.
        speednet = SpeedNetConfig(stem_filters=8, widths=(4, 8), convolutions=(2, 1), residual=True)
        return atelier.train(
            Recipe(name=recipe, model=speednet) if recipe == "speednet" else recipe,
            data="fashion-mnist-sample",
            seed=seed,
            overrides=[*TINY, *NARROW.get(recipe, ()), *overrides],
            out=out,
            progress=False,
            **options,
        )

    return train


@pytest.fixture(scope="session")
def finished_run(train_tiny: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished and evaluated run. For reading only: all tests share it."""
    import atelier

    run = train_tiny(tmp_path_factory.mktemp("runs") / "finished")
    atelier.evaluate(run)
    return run


@pytest.fixture(scope="session")
def finished_export(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished run as a float32 ONNX file. For reading only: all tests share it."""
    import atelier

    return atelier.export(finished_run, out=tmp_path_factory.mktemp("exports") / "finished.onnx")


@pytest.fixture(scope="session")
def finished_program(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The finished run as a torch program. For reading only: all tests share it."""
    import atelier

    out = tmp_path_factory.mktemp("exports") / "finished.pt2"
    return atelier.export(finished_run, "torch", out=out)


@pytest.fixture
def own_run(finished_run: Any, tmp_path: Path) -> Any:
    """A copy of the finished run, to be changed or damaged."""
    from atelier import load_run

    return load_run(shutil.copytree(finished_run.path, tmp_path / "own"))


PHOTO_CLASSES = ("Röcke & Kleider, lang $x_1$", "schuhe", "靴下")


@pytest.fixture(scope="session")
def draw_photos() -> Callable[..., Path]:
    """A function that makes a folder of class folders: a form and a color for each class."""

    def draw(
        folder: Path,
        parts: tuple[str, ...] = ("",),
        *,
        classes: tuple[str, ...] = PHOTO_CLASSES,
        each: int = 12,
        seed: int = 0,
    ) -> Path:
        import numpy as np
        from PIL import Image, ImageDraw

        rng = np.random.default_rng(seed)
        for part in parts:
            for name in classes:
                kind = PHOTO_CLASSES.index(name) if name in PHOTO_CLASSES else 0
                home = folder / part / name
                home.mkdir(parents=True, exist_ok=True)
                for number in range(each):
                    noise = rng.integers(90, 166, (32, 40, 3), dtype=np.uint8)
                    image = Image.fromarray(noise)
                    x, y, size = (*rng.integers(2, 10, 2).tolist(), int(rng.integers(12, 20)))
                    pen = ImageDraw.Draw(image)
                    form = (pen.ellipse, pen.rectangle, pen.rounded_rectangle)[kind]
                    color = ((220, 40, 40), (40, 200, 60), (40, 60, 230))[kind]
                    form((x, y, x + size, y + size), fill=color)
                    image.save(home / f"Foto {number} é.png")
        return folder

    return draw


@pytest.fixture(scope="session")
def photo_folder(
    draw_photos: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Photos in color, with a training and a validation part and no test part."""
    return draw_photos(tmp_path_factory.mktemp("photos") / "shop", ("train", "validation"))


@pytest.fixture(scope="session")
def train_on_photos() -> Callable[..., Any]:
    """A function that trains a narrow network on photos of 32 pixels for two epochs."""

    def train(out: Path, data: Path, *overrides: str, recipe: str = "mlp", seed: int = 0) -> Any:
        import atelier

        return atelier.train(
            recipe,
            data=str(data),
            seed=seed,
            overrides=[
                *("train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=8"),
                *("photos.image_size=32", *NARROW[recipe], *overrides),
            ],
            out=out,
            progress=False,
        )

    return train


@pytest.fixture(scope="session")
def photo_run(
    photo_folder: Path,
    train_on_photos: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:
    """A finished and evaluated run on `photo_folder`. For reading only: all tests share it."""
    import atelier

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATELIER_CACHE", str(tmp_path_factory.mktemp("photo-cache")))
        run = train_on_photos(tmp_path_factory.mktemp("runs") / "photos", photo_folder)
        atelier.evaluate(run)
    return run


@pytest.fixture
def narrow_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes `mlp` and `cnn` themselves, made narrow: for what takes them by name."""
    from atelier.recipes import RECIPES

    for name, overrides in NARROW.items():
        recipe = RECIPES[name]().with_overrides(overrides)
        monkeypatch.setitem(RECIPES, name, lambda recipe=recipe: recipe)


@pytest.fixture
def stopped_in() -> Callable[..., Any]:
    """A context in which the training of one epoch is cut off by an error after its first batch."""

    @contextmanager
    def stopped_in(epoch: int, error: type[BaseException] = KeyboardInterrupt) -> Iterator[None]:
        from atelier.data.batches import TrainingBatches

        whole = TrainingBatches.epoch

        def cut_off(self: Any, number: int, seed: int) -> Iterator[Any]:
            for position, batch in enumerate(whole(self, number, seed)):
                if number == epoch and position == 1:
                    raise error
                yield batch

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingBatches, "epoch", cut_off)
            yield

    return stopped_in


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, where everything that a command may touch by default lies."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file under `folder` with a digest of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str, str]]:
    """A function that runs a command line here: its exit code, output and errors."""

    from atelier import cli

    def call(*words: object) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        said = capsys.readouterr()
        return left.value.code or 0, said.out, said.err

    return call


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], here: Path, tmp_path: Path) -> Callable[..., str]:
    """A function that runs a command line, checks that it is refused as promised, and returns the
    line that says why."""

    from atelier import cli

    def refused(*words: object) -> str:
        before = contents(tmp_path)
        with pytest.raises(SystemExit) as left:
            cli.main([str(word) for word in words])
        said = capsys.readouterr()
        lines = said.err.splitlines()
        assert left.value.code == 2, said.err
        assert len(lines) == 1, said.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in said.err
        assert "defect" not in said.err
        assert said.out == ""
        assert contents(tmp_path) == before
        return lines[0]

    return refused
