"""From logged predictions to what changed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import atelier
from atelier.errors import AtelierError, ConfigError, LogError, StorageError
from atelier.monitoring import (
    Asked,
    Drift,
    PredictionLog,
    Reference,
    comparison,
    image_facts,
    logged_predictions,
)

CLASSES = ("bag", "<b>boot</b>", "coat")
START = datetime(2026, 1, 1, tzinfo=UTC)


CORNERS = ((slice(8), slice(8)), (slice(8, 16), slice(6)), (slice(16), slice(9, 16)))


def drawn(n: int, seed: int, shares: tuple[float, ...] = (1 / 3, 1 / 3, 1 / 3)) -> Any:
    """Images of three classes, each with light in another part, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=shares)
    images = rng.integers(0, 90, (n, 1, 16, 16))
    for k, (rows, columns) in enumerate(CORNERS):
        at = np.flatnonzero(labels == k)
        images[at, :, rows, columns] += rng.integers(10, 150, (len(at), 1, 1, 1))
    return images.astype(np.uint8), labels


def answers(images: np.ndarray) -> Any:
    """A model that compares the three parts, and is wrong where the light is weak."""
    values = images[:, 0].astype(float) / 255
    light = np.stack([values[:, rows, columns].mean((1, 2)) for rows, columns in CORNERS], axis=1)
    noise = np.random.default_rng(int(images.sum())).normal(0, 0.03, light.shape)
    logits = 20 * (light + noise)
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)
    return SimpleNamespace(probs=probs, embedding=light.astype(np.float32))


@pytest.fixture(scope="module")
def reference() -> Reference:
    images, labels = drawn(900, 0)
    said = answers(images)
    facts = image_facts(images)
    return Reference(
        name="tiny",
        classes=CLASSES,
        version="1",
        weights="0" * 64,
        images="900 images",
        labels=labels.astype(np.int64),
        probs=said.probs,
        embedding=said.embedding.astype(np.float16),
        stats=facts.stats,
        thumbnails=facts.thumbnails,
    )


@pytest.fixture(autouse=True)
def fewer_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = comparison.compared
    monkeypatch.setattr(
        comparison, "compared", lambda *parts, **options: whole(*parts, permutations=399, **options)
    )


@pytest.fixture
def log(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a log of images, one in each minute, and gives its address."""
    url = f"sqlite:///{tmp_path / 'log.db'}"

    def log(
        images: np.ndarray, *, labels: np.ndarray | None = None, name: str = "r", **changes: Any
    ) -> str:
        said = answers(images)
        options: dict[str, Any] = {"model": "shop", "version": "1", "classes": CLASSES}
        start, sha256 = changes.pop("start", START), changes.pop("image_sha256", "")
        writer = PredictionLog(url)
        for k in range(len(images)):
            one = SimpleNamespace(probs=said.probs[k : k + 1], embedding=said.embedding[k : k + 1])
            time = start + timedelta(minutes=k)
            rows = logged_predictions(
                [Asked(f"{name}{k}", image_sha256=sha256)],
                images[k : k + 1],
                one,
                time=time,
                **(options | changes),
            )
            writer.record(rows)
            if labels is not None:
                writer.feedback(f"{name}{k}", 0, CLASSES[labels[k]])
        writer.close(60)
        assert writer.lost == 0
        return url

    return log


def test_nothing_changed(log: Callable[..., str], reference: Reference) -> None:
    images, labels = drawn(500, 1)
    found = atelier.drift(log(images), reference)
    assert not found.drifted
    assert found.predictions == 500
    assert found.headline.startswith("No drift found by 11 tests of 500 predictions of shop")
    assert found.changes == []
    right = float((answers(images).probs.argmax(1) == labels).mean())
    assert found.accuracy.by_classes.low - 0.03 <= right <= found.accuracy.by_classes.high + 0.03
    assert found.live is None


def test_mirrored_pictures(log: Callable[..., str], reference: Reference) -> None:
    images, _ = drawn(400, 2)
    images[:240] = images[:240, ..., ::-1]
    found = atelier.drift(log(images), reference)
    assert found["left to right"].drifted
    assert found["thumbnails"].drifted
    assert "The pictures are lighter " in "\n".join(found.changes)
    assert not found["brightness"].drifted


def test_inverted_pictures(log: Callable[..., str], reference: Reference) -> None:
    images, _ = drawn(400, 3)
    images[:60] = 255 - images[:60]
    found = atelier.drift(log(images), reference)
    for key in ("brightness", "thumbnails", "embedding"):
        assert found[key].drifted, found
    assert "The pictures are lighter (brightness" in "\n".join(found.changes)


def test_more_of_one_class_is_told_from_other_pictures(
    log: Callable[..., str], reference: Reference
) -> None:
    images, labels = drawn(600, 4, (0.2, 0.2, 0.6))
    found = atelier.drift(log(images), reference)
    assert found["classes"].drifted
    assert not any(finding.within for finding in found.findings)
    assert "other shares of the classes explain it all" in found.changes[-1]
    coat = found.classes[2]
    assert coat.name == "coat"
    assert coat.true_now.low <= (labels == 2).mean() <= coat.true_now.high
    assert coat.true_before < 0.4 < coat.now
    assert "instead of" in found.changes[0]


def test_feedback_stands_beside_the_estimates(
    log: Callable[..., str], reference: Reference
) -> None:
    images, labels = drawn(200, 5)
    url = log(images[:150], labels=labels[:150])
    log(images[150:], name="s", start=START + timedelta(hours=3))
    found = atelier.drift(url, reference)
    assert found.live is not None
    assert found.live.answers == 150
    assert found.live.right == int((answers(images[:150]).probs.argmax(1) == labels[:150]).sum())
    assert f"Users found {found.live.right} of 150 answers right" in str(found)


def test_stretches_of_time_models_and_versions(
    log: Callable[..., str], reference: Reference
) -> None:
    images, _ = drawn(100, 6)
    url = log(images)
    log(255 - images, name="later", start=START + timedelta(days=2), version="2")
    log(images, name="lab", model="lab")
    with pytest.raises(LogError, match="several models; allowed: lab, shop"):
        atelier.drift(url, reference)
    with pytest.raises(LogError, match=r"no model 'shpo'.*Did you mean 'shop'"):
        atelier.drift(url, reference, model="shpo")
    found = atelier.drift(url, reference, model="shop")
    assert (found.version, found.predictions, found.drifted) == ("1", 100, False)
    assert "100 predictions of other versions of shop were left out" in found.notes[0]
    found = atelier.drift(url, reference, model="shop", version="2")
    assert found.drifted
    assert "The reference is of version 1, the predictions are of 2" in " ".join(found.notes)
    later = atelier.drift(url, reference, model="shop", since=START + timedelta(days=1))
    assert later.version == "2"
    assert later.since == START + timedelta(days=2)
    half = atelier.drift(url, reference, model="shop", until=datetime(2026, 1, 1, 1))
    assert half.predictions == 60
    with pytest.raises(LogError, match=r"no such version.*got '9'.*allowed: 1, 2"):
        atelier.drift(url, reference, model="shop", version="9")
    with pytest.raises(LogError, match="no predictions in this stretch"):
        atelier.drift(url, reference, since=START + timedelta(days=9))
    with pytest.raises(ConfigError, match="no time between"):
        atelier.drift(url, reference, since=START, until=START)


def test_one_file_sent_often_counts_once(log: Callable[..., str], reference: Reference) -> None:
    images, _ = drawn(80, 7)
    url = log(images, image_sha256="a" * 64)
    with pytest.raises(LogError, match=r"too few predictions of shop.*got 1;"):
        atelier.drift(url, reference)
    log(images, name="s", start=START + timedelta(days=1))
    found = atelier.drift(url, reference)
    assert found.predictions == 81
    assert "79 of 160 predictions were of a file that had been sent before" in found.notes[0]


def test_what_the_log_does_not_keep_is_not_tested(
    log: Callable[..., str], reference: Reference
) -> None:
    url = log(drawn(80, 8)[0], embeddings=False, thumbnails=False)
    found = atelier.drift(url, reference)
    assert len(found.findings) == 9
    assert "keeps no embeddings of the reference's width and no thumbnails" in found.notes[-1]


def test_predictions_of_another_model_are_refused(
    log: Callable[..., str], reference: Reference
) -> None:
    url = log(drawn(80, 9)[0], classes=("bag", "hat", "coat"))
    with pytest.raises(LogError, match="other classes than the reference of tiny, as 'hat'"):
        atelier.drift(url, reference)


def test_missing_rows_are_told(
    log: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    from atelier.monitoring import Gap
    from atelier.monitoring.store import Store

    url = log(drawn(80, 10)[0])
    store = Store(url)
    with store.changing() as connection:
        store.write_gap(connection, "w", Gap(START, START + timedelta(minutes=5), 77))
        store.write_gap(
            connection, "w", Gap(START + timedelta(days=5), START + timedelta(days=6), 5)
        )
    store.close()
    found = atelier.drift(url, reference, until=START + timedelta(days=1))
    assert found.lost == 77
    assert "77 predictions of this time are missing" in found.changes[-1]


def test_the_report_is_one_file_that_asks_for_nothing(
    log: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    images, labels = drawn(300, 11)
    images[:60] = 255 - images[:60]
    url = log(images, labels=labels)
    out = tmp_path / "drift.html"
    found = atelier.drift(url, reference, out=out)
    page = out.read_text("utf-8")
    assert "What changed" in page
    for line in (found.headline, *found.changes):
        assert line.replace("'", "&#39;").replace("<", "&lt;").replace(">", "&gt;") in page
    assert not re.search(r"<script|(src|href)=\"(?!data:|#)", page)
    assert "<b>boot</b>" not in page
    assert "&lt;b&gt;boot&lt;/b&gt;" in page
    assert page.count("<img ") == page.count(" alt=") == 7
    assert page.index("What changed") < page.index("<img ")
    with pytest.raises(StorageError, match="exists already"):
        atelier.drift(url, reference, out=out)


def test_a_server_needs_no_torch_for_it(
    log: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    url = log(drawn(80, 14)[0])
    reference.save(tmp_path / "shop.reference.npz")
    code = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "torchvision", "sklearn", "seaborn", "pandas", "safetensors", "timm"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import atelier
found = atelier.drift({url!r}, {str(tmp_path / "shop.reference.npz")!r},
                      out={str(tmp_path / "drift.html")!r})
print(found.predictions)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (said.stdout, said.stderr) == ("80\n", "")


def test_as_json(log: Callable[..., str], reference: Reference) -> None:
    found = atelier.drift(log(drawn(80, 12)[0]), reference)
    again = json.loads(json.dumps(found.to_dict()))
    assert again["drifted"] is False
    assert again["predictions"] == 80
    assert {one["key"] for one in again["findings"]} == {f.key for f in found.findings}
    assert "Among so few predictions only a large change would show." in again["words"]


def test_twenty_samples_without_drift(reference: Reference) -> None:
    """At most three alarms, as promised: by chance there are more in one search of sixty."""
    from tests.monitoring.traffics import traffic_of

    alarms = sum(
        comparison.compared(reference, traffic_of(images, answers(images))).drifted
        for images in (drawn(250, 100 + seed)[0] for seed in range(20))
    )
    assert alarms <= 3


def test_a_log_that_is_not_there(tmp_path: Path, reference: Reference) -> None:
    with pytest.raises(LogError, match="there is no prediction log"):
        atelier.drift(tmp_path / "none.db", reference)
    with pytest.raises(AtelierError):
        atelier.drift("sqlite:///" + str(tmp_path / "none.db"), tmp_path / "none")


def test_a_drift_shows_itself_in_a_notebook(log: Callable[..., str], reference: Reference) -> None:
    found = atelier.drift(log(drawn(80, 13)[0]), reference)
    assert isinstance(found, Drift)
    assert found._repr_html_().startswith("<table>")
