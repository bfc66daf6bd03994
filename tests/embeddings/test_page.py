"""The page: one file, in which every point shows its image. Driven in a real Chromium."""

import re
import shutil

import numpy as np
import pytest

import atelier
from atelier.embeddings.page import sprite
from atelier.embeddings.pictures import embedding_pictures
from tests.serving.browsing import CHROMIUM, FLAGS, PATIENCE_MS


@pytest.fixture(scope="module")
def opened(maps, mapped):
    """The page, opened as a file."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page.goto((mapped.path / "figures" / "embedding_map.html").as_uri())
        yield page
        assert errors == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        chromium.close()


def test_every_point_shows_its_image(opened, maps):
    opened.locator("#map").focus()
    opened.keyboard.press("ArrowRight")
    chosen = opened.locator("#chosen")
    assert f"image {maps.ids[0]}" in chosen.inner_text()
    assert maps.classes[maps.labels[0]] in chosen.inner_text()
    opened.locator("#search").fill(str(maps.ids[7]))
    assert f"image {maps.ids[7]}" in chosen.inner_text()
    lit = (
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v && v < 255)"
    )
    assert chosen.locator("canvas").first.evaluate(lit)
    chosen.locator(".near button").first.click()
    assert f"image {maps.ids[maps.neighbors[7][0]]}" in chosen.inner_text()


def test_errors_and_classes_can_be_chosen(opened, maps):
    opened.locator("#errors").check()
    opened.locator("#map").focus()
    called = []
    for _ in range(4):
        opened.keyboard.press("ArrowRight")
        called.append(opened.locator("#chosen .wrong").count())
    assert called == [1, 1, 1, 1]
    opened.locator("#errors").uncheck()
    opened.locator("#none").click()
    opened.get_by_role("button", name=maps.classes[3]).first.click()
    opened.locator("#map").focus()
    opened.keyboard.press("ArrowRight")
    assert f"label: {maps.classes[3]}" in opened.locator("#chosen").inner_text()
    opened.locator("#all").click()


def test_pointing_at_a_point_shows_it(opened, maps):
    opened.locator("#whole").click()
    box = opened.locator("#map").bounding_box()
    x, y = opened.evaluate("at(11)")
    opened.mouse.move(box["x"] + x, box["y"] + y)
    assert re.search(r"image \d+", opened.locator("#chosen").inner_text())
    opened.mouse.wheel(0, -400)
    assert opened.evaluate("zoom") > 1


def test_the_page_is_small_and_lets_only_its_own_script_run(mapped, maps):
    text = (mapped.path / "figures" / "embedding_map.html").read_text("utf-8")
    assert len(text) < 5_000_000
    assert "default-src 'none'" in text
    assert "unsafe-eval" not in text
    assert "http://" not in text
    assert "https://" not in text


def test_photos_and_odd_class_names_are_shown_as_they_are(photo_run, tmp_path, monkeypatch):
    monkeypatch.setenv("ATELIER_CACHE", str(tmp_path / "cache"))
    run = atelier.load_run(shutil.copytree(photo_run.path, tmp_path / "run"))
    maps = atelier.embeddings(run, method="pca", out=tmp_path, progress=False)
    text = (tmp_path / "embedding_map.html").read_text("utf-8")
    assert "Röcke & Kleider, lang $x_1$" in text
    assert "é.png" in text
    (picture,) = embedding_pictures(maps)
    assert picture.data.startswith(b"\x89PNG")


def test_a_class_called_like_markup_stays_text(mapped, maps, tmp_path):
    from dataclasses import replace

    from atelier.data import load_dataset
    from atelier.embeddings.page import write_page

    test = load_dataset("fashion-mnist-sample").test
    shown = test.take(np.isin(test.ids, maps.ids))
    named = replace(maps, run="</title><b>", classes=("</script><b>", *maps.classes[1:]))
    text = write_page(named, shown, tmp_path / "odd.html").read_text("utf-8")
    assert text.count("</script>") == 2
    assert "</title><b>" not in text


def test_a_sheet_of_large_photos_stays_small():
    noise = np.random.default_rng(0).integers(0, 256, (900, 3, 96, 80), dtype=np.uint8)
    data, side, columns = sprite(noise)
    assert len(data) <= 3_300_000
    assert 8 <= side <= 64
    assert columns == 30
