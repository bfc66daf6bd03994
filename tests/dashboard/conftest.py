"""A folder of runs in every state, a dashboard that shows it, and a browser."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.dashboard.many_runs import write_runs
from tests.serving.browsing import CHROMIUM, FLAGS, PATIENCE_MS

ODD = "odd $x$ <b>name & ä"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, finished_run: Any) -> Path:
    """Twenty made runs, a trained one with an odd name, a damaged and a half written one."""
    folder = write_runs(tmp_path_factory.mktemp("dashboard") / "runs", 20)
    shutil.copytree(finished_run.path, folder / "deeper" / ODD)
    (folder / "damaged").mkdir()
    (folder / "damaged" / "recipe.json").write_text('{"name": ')
    half = shutil.copytree(folder / "cnn-lr0.001-s0", folder / "half")
    (half / "metrics.json").unlink()
    shutil.rmtree(half / "predictions")
    with (half / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 7, "train/lo')
    old = shutil.copytree(folder / "mlp-lr0.001-s0", folder / "old")
    metrics = json.loads((old / "metrics.json").read_text())
    (old / "metrics.json").write_text(json.dumps(metrics | {"format_version": 0}))
    (folder / ".hidden").mkdir()
    (folder / "empty").mkdir()
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a dashboard of `folder`."""
    import uvicorn

    from atelier.dashboard.app import create_app
    from atelier.dashboard.entry import listen

    with listen(0) as listener:
        config = uvicorn.Config(create_app(folder), ws="none", lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    """Where the dashboard of `runs` is."""
    with served(runs) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens an address. Whatever the page asks of others than the dashboard, and
    any error in its scripts, fails the test."""
    contexts, wrong = [], []

    def visit(
        address: str,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        counted: bool = True,
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda request: (
                request.url.startswith((address, "data:", "blob:")) or wrong.append(request.url)
            ),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(address)
        page.locator(".table tbody tr").first.wait_for()
        if counted:  # the view is drawn anew when the last accuracy has been counted
            page.locator("#count", has_not_text="counting").wait_for()
            page.locator("#view[aria-busy=false]").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []
