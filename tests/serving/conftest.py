"""A service with its page, and a browser that visits it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import atelier
from atelier.serving.limits import Limits
from atelier.serving.settings import ServeSettings
from tests.serving.browsing import CHROMIUM, FLAGS, PATIENCE_MS
from tests.serving.tiny_export import write_tiny_export
from tests.serving.wire import whole_service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports, the log and temporary files of the service, and pictures."""
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def garments(folder: Path) -> list[Path]:
    """A PNG of each of a few images of the sample, none of which is dark all over."""
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:4]
    paths = [folder / f"garment {number}.png" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[0]).save(path)
    return paths


@pytest.fixture(scope="module")
def black(folder: Path) -> Path:
    """Of which the tiny model cannot say anything."""
    path = folder / "black.png"
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Where a service of two models is, whose temporary files would lie in `folder`."""
    settings = ServeSettings(
        models={
            "garments": write_tiny_export(folder / "garments.onnx", threshold=0.5),
            "others": write_tiny_export(folder / "others.onnx", seed=1),
        },
        port=0,
        workers=1,
        log=f"sqlite:///{folder}/log.sqlite",
        log_wait_ms=1000,
        limits=Limits(max_images=2, max_image_bytes=200_000),
    )
    (folder / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        with whole_service(settings) as (host, port):
            yield f"http://{host}:{port}/"
        assert list((folder / "temporary").iterdir()) == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own, and a camera that shows a moving pattern."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """A function that opens the page anew. Whatever a page asks of others than the service, and any
    error in its scripts, fails the test."""
    contexts, elsewhere = [], []

    def visit(*, width: int = 1100, height: int = 800, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "blob:")) or elsewhere.append(request.url)
            ),
        )
        page.on("pageerror", lambda error: elsewhere.append(str(error)))
        # A chooser that opens before the browser knows of a listener is lost: have one now.
        page.on("filechooser", lambda _: None)
        page.goto(address)
        page.locator("atelier-picture .choose").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert elsewhere == []
