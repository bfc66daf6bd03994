"""Which browser visits the page, and what people do there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from atelier.exported import load_export
from tests.serving.tiny_export import CLASSES

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]
PATIENCE_MS = 20_000


def choose(page: Any, path: Path) -> None:
    """Choose one picture, and wait for what the page says of it."""
    page.set_input_files("atelier-picture .file", path)
    page.locator("atelier-picture :is(.verdict, .failed)").wait_for()


def choose_many(page: Any, paths: list[Path]) -> None:
    """Choose many pictures, and wait for the table."""
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("atelier-pictures .files", paths)
    page.locator("atelier-pictures .csv").wait_for()


def answer(folder: Path, path: Path, model: str = "garments") -> tuple[str, float]:
    """The likeliest class of a picture and its probability."""
    export = load_export(folder / f"{model}.onnx", threads=1)
    (probs,) = export.answer(export.read(path).pixels[None]).probs
    return CLASSES[int(probs.argmax())], float(probs.max())


def width_of(page: Any) -> list[int]:
    return page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
