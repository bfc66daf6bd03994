"""The page as people use it: in a real browser, against a real service on loopback."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from atelier.serving.keys import add_key
from atelier.serving.settings import ServeSettings
from tests.serving.browsing import CHROMIUM, answer, choose, choose_many, width_of
from tests.serving.tiny_export import CLASSES, write_tiny_export
from tests.serving.wire import get, status_of, talk, whole_service

pytestmark = pytest.mark.skipif(
    not os.access(CHROMIUM, os.X_OK), reason="there is no Chromium on this machine"
)


def test_a_picture_gets_its_classes(visit: Any, folder: Path, garments: list[Path]) -> None:
    page = visit()
    for path in garments[:2]:  # the second takes the first one's place
        choose(page, path)
        page.locator(f'atelier-picture img[alt="Your picture, {path.name}"]').wait_for()
        name, share = answer(folder, path)
        verdict = page.locator("atelier-picture .verdict")
        page.wait_for_function(
            "text => document.querySelector('atelier-picture').shadowRoot"
            ".querySelector('.verdict')?.textContent === text",
            arg=f"{name} {100 * share:.1f} %",
        )
        assert verdict.count() == 1
        rows = page.locator("atelier-picture .bars li")
        assert sorted(row.locator(".name").inner_text() for row in rows.all()) == sorted(CLASSES)
        shares = [float(row.locator(".share").inner_text()[:-2]) for row in rows.all()]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "Pictures stay on this machine" in page.locator("body").inner_text()


def test_an_unknown_picture_is_said_to_be(visit: Any, black: Path) -> None:
    page = visit()
    choose(page, black)
    assert page.locator("atelier-picture .verdict").inner_text() == "Unknown"
    assert "with 33.3 %, which is too little" in page.locator("atelier-picture .note").inner_text()
    assert page.get_by_role("button", name="That is right").count() == 0


def test_swapped_light_and_dark_are_told(visit: Any, folder: Path) -> None:
    path = folder / "shop photo.jpg"
    Image.fromarray(np.full((60, 40, 3), 250, np.uint8)).save(path)
    page = visit()
    choose(page, path)
    assert "Light and dark were swapped" in page.locator("atelier-picture .answer").inner_text()


def test_another_model_is_asked_when_it_is_chosen(
    visit: Any, folder: Path, garments: list[Path]
) -> None:
    page = visit()
    choose(page, garments[0])
    page.get_by_label("Model").select_option("others")
    page.locator("atelier-picture .quiet", has_text="Model others").wait_for()
    name, share = answer(folder, garments[0], "others")
    assert page.locator("atelier-picture .verdict").inner_text() == f"{name} {100 * share:.1f} %"


def test_many_pictures_make_a_table_and_a_csv(
    visit: Any, folder: Path, garments: list[Path], black: Path
) -> None:
    odd = folder / '<img src=x onerror=alert(1)>, "Größe".png'
    shutil.copy(garments[0], odd)
    text, large = folder / "letter.png", folder / "large.png"
    text.write_text("Dear Sir")
    large.write_bytes(bytes(200_001))
    paths = [*garments, odd, black, text, large]
    page = visit()
    choose_many(page, paths)
    rows = page.locator("atelier-pictures tbody tr")
    assert [row.locator("th").inner_text() for row in rows.all()] == [path.name for path in paths]
    for row, path in zip(rows.all(), [*garments, odd], strict=False):
        name, share = answer(folder, path)
        assert row.locator("td").all_inner_texts() == [name, f"{100 * share:.1f} %", "no"]
    assert rows.nth(5).locator("td").nth(2).inner_text() == "yes"
    assert "no picture of a kind that is taken" in rows.nth(6).inner_text()
    assert "too large: 0.2 MB" in rows.nth(7).inner_text()
    assert page.locator("atelier-pictures .state").inner_text() == (
        "8 pictures, 1 unknown, 2 could not be read."
    )
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    assert download.value.suggested_filename == "predictions.csv"
    table = Path(download.value.path()).read_text("utf-8")
    written = list(csv.DictReader(io.StringIO(table, newline="")))
    assert list(written[0]) == [
        *("file", "predicted", "unknown", "probability"),
        *(f"P({name})" for name in CLASSES),
        "problem",
    ]
    assert [row["file"] for row in written] == [path.name for path in paths]
    for row, path in zip(written, [*garments, odd, black], strict=False):
        name, share = answer(folder, path)
        assert row["predicted"] == name
        assert float(row["probability"]) == pytest.approx(share, abs=1e-5)
        assert row["unknown"] == ("yes" if path == black else "no")
        assert row["problem"] == ""
        assert sum(float(row[f"P({each})"]) for each in CLASSES) == pytest.approx(1, abs=1e-4)
    assert all(row["problem"] and not row["predicted"] for row in written[6:])
    page.get_by_role("button", name="Empty the table").click()
    assert rows.count() == 0


def test_many_pictures_can_be_stopped(visit: Any, garments: list[Path]) -> None:
    page = visit()
    page.route("**/v1/predict", lambda _: None)  # never answered
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("atelier-pictures .files", garments)
    page.get_by_text("0 of 4 pictures judged.").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped. 0 pictures.").wait_for()
    page.unroute("**/v1/predict")
    page.set_input_files("atelier-pictures .files", garments)
    page.get_by_text("4 pictures.").wait_for()
    assert page.locator("atelier-pictures tbody tr").count() == 4


def test_feedback_reaches_the_log(visit: Any, folder: Path, garments: list[Path]) -> None:
    page = visit()
    choose(page, garments[1])
    name, _ = answer(folder, garments[1])
    truth = next(each for each in CLASSES if each != name)
    assert page.get_by_role("button", name="Send").is_disabled()
    page.get_by_label("This is wrong, it is").select_option(truth)
    page.get_by_role("button", name="Send").click()
    page.get_by_text(f"Noted: {truth}. Thank you.").wait_for()
    with sqlite3.connect(folder / "log.sqlite") as log:
        found = log.execute(
            "SELECT feedback.label, predictions.predicted FROM feedback JOIN predictions "
            "USING (request_id, image_index) ORDER BY feedback.time DESC"
        ).fetchone()
    log.close()
    assert found == (truth, name)


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_all_of_it(
    visit: Any, folder: Path, garments: list[Path], *, dark: bool
) -> None:
    long = folder / f"{'x' * 90}.png"
    shutil.copy(garments[0], long)
    page = visit(width=390, height=844, dark=dark)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, ground.removeprefix("rgb(").rstrip(")").split(",")))
    assert (brightness < 200) == dark
    assert width_of(page) == [390, 390]
    choose(page, garments[0])
    page.locator("atelier-picture .feedback").wait_for()
    assert width_of(page) == [390, 390]
    choose_many(page, [long, *garments])
    assert width_of(page) == [390, 390]
    for cell in page.locator("atelier-pictures tbody td").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


FOCUS = """() => {
  let focused = document.activeElement;
  while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
  const look = getComputedStyle(focused);
  const name = focused.labels?.[0]?.textContent ?? focused.textContent.trim();
  return [name, look.outlineStyle !== "none" && parseFloat(look.outlineWidth) >= 2];
}"""


def press_tab(page: Any, until: str) -> list[str]:
    """Press Tab up to an element of this name; the names on the way, each of them in sight."""
    names = []
    for _ in range(20):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(FOCUS)
        names.append(name)
        if name != page.locator("body").inner_text().strip():
            assert visible or name.startswith("What is on this picture?"), name
        if name == until:
            return names
    raise AssertionError(f"Tab never came to {until!r}: {names}")


def test_the_keyboard_alone_does_it(visit: Any, folder: Path, garments: list[Path]) -> None:
    page = visit()
    way = press_tab(page, "Choose a picture")
    assert way == ["Model", "One picture", "Many pictures", "Choose a picture"]
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(garments[2])
    page.locator("atelier-picture .feedback").wait_for()
    press_tab(page, "This is wrong, it is")
    name, _ = answer(folder, garments[2])
    truth = next(each for each in CLASSES if each != name)
    page.keyboard.type(truth)
    press_tab(page, "Send")
    page.keyboard.press("Enter")
    page.get_by_text(f"Noted: {truth}. Thank you.").wait_for()
    page.get_by_role("tab", name="One picture").focus()
    press_tab(page, "Many pictures")
    page.keyboard.press("Enter")
    assert press_tab(page, "Choose pictures") == ["Choose pictures"]
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    assert chooser.value.is_multiple()
    chooser.value.set_files(garments)
    page.locator("atelier-pictures .csv").wait_for()
    press_tab(page, "Download as CSV")
    with page.expect_download():
        page.keyboard.press("Enter")


GIVE = """([kind, bytes]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], "given.png", { type: "image/png" }));
  const event = kind === "paste"
    ? new ClipboardEvent("paste", { clipboardData: files, bubbles: true, cancelable: true })
    : new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
  return event.defaultPrevented;
}"""


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_a_picture_can_be_pasted_and_dropped(
    visit: Any, folder: Path, garments: list[Path], kind: str
) -> None:
    page = visit()
    assert page.evaluate(GIVE, [kind, list(garments[3].read_bytes())])
    name, share = answer(folder, garments[3])
    page.locator("atelier-picture .verdict").wait_for()
    assert page.locator("atelier-picture .verdict").inner_text() == f"{name} {100 * share:.1f} %"


def test_a_photo_is_taken_and_judged(visit: Any) -> None:
    page = visit()
    page.get_by_role("button", name="Take a photo").click()
    page.wait_for_function(
        "() => document.querySelector('atelier-picture').shadowRoot.querySelector('video')"
        ".videoWidth > 0"
    )
    page.get_by_role("button", name="Take the photo").click()
    page.locator("atelier-picture .verdict").wait_for()
    assert page.locator("atelier-picture dialog[open]").count() == 0
    page.get_by_alt_text("Your picture, photo.jpg").wait_for()


def test_what_goes_wrong_is_said_to_people(visit: Any, folder: Path, garments: list[Path]) -> None:
    text, large = folder / "no picture.png", folder / "too large.png"
    text.write_text("Dear Sir")
    large.write_bytes(bytes(200_001))
    page = visit()
    failed = page.locator("atelier-picture .failed")
    choose(page, text)
    assert failed.inner_text().startswith("This is no picture of a kind that is taken")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, large)
    page.get_by_text("This picture is too large: 0.2 MB, and up to 0.2 MB are taken.").wait_for()
    assert not [url for url in asked if url.endswith("/v1/predict")]  # not sent for nothing
    page.route("**/v1/predict", lambda route: route.abort())
    choose(page, garments[0])
    page.get_by_text("The service does not answer. Is it still running?").wait_for()


def test_a_busy_service_is_asked_again(visit: Any, folder: Path, garments: list[Path]) -> None:
    page = visit()
    refusals = [503, 429]

    def refuse(route: Any) -> None:
        if not refusals:
            route.continue_()
            return
        route.fulfill(
            status=refusals.pop(),
            headers={"Retry-After": "0"},
            content_type="application/problem+json",
            body=json.dumps({"type": "urn:atelier:problem:busy", "title": "busy", "status": 503}),
        )

    page.route("**/v1/predict", refuse)
    page.set_input_files("atelier-picture .file", garments[0])
    page.get_by_text("The service is busy; trying again in").wait_for()
    page.locator("atelier-picture .verdict").wait_for()
    assert (
        page.locator("atelier-picture .verdict")
        .inner_text()
        .startswith(answer(folder, garments[0])[0])
    )
    assert refusals == []


def test_a_key_opens_the_page(browser: Any, folder: Path, garments: list[Path]) -> None:
    key, _ = add_key(folder / "keys.json", "shop")
    settings = ServeSettings(
        models={"garments": write_tiny_export(folder / "guarded.onnx")},
        port=0,
        workers=1,
        log=None,
        keys_file=folder / "keys.json",
    )
    with whole_service(settings) as (host, port):
        address = f"http://{host}:{port}/"
        assert status_of(talk((host, port), get("/"))) == 401
        # What a browser then asks its user for: a name, which is of no matter, and the key.
        credentials = {"username": "anybody", "password": key}
        context = browser.new_context(http_credentials=credentials)
        page = context.new_page()
        assert page.goto(address).status == 200
        choose(page, garments[0])
        name, _ = answer(folder, garments[0], "guarded")
        assert page.locator("atelier-picture .verdict").inner_text().startswith(name)
        assert page.locator("atelier-picture .feedback").is_hidden()  # there is no log to tell
        assert "Nothing of them is kept." in page.locator("body").inner_text()
        context.close()
