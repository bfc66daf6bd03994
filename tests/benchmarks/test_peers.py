"""What the peers share: environments of their own, a stopwatch, and the same images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import atelier
from atelier.errors import AtelierError
from benchmarks import peer_environments
from benchmarks.peers import PEERS
from benchmarks.peers.protocol import Arrays, Stopwatch


def test_an_environment_that_cannot_be_made_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements-keras-jax.txt").write_text("keras==3.15.1\n# jax below\njax==0.1\n")
    monkeypatch.setattr(peer_environments, "_REQUIREMENTS", tmp_path)
    monkeypatch.setattr(peer_environments, "_ENVIRONMENTS", tmp_path / "environments")
    assert peer_environments.pinned_versions("keras-jax") == {"keras": "3.15.1", "jax": "0.1"}
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho 'no such version' >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr(peer_environments.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(AtelierError, match="environment keras-jax: no such version"):
        peer_environments.obtain_python("keras-jax")
    # The environment is used as it is once its stamp is there.
    uv.write_text(f"#!/bin/sh\nmkdir -p '{tmp_path}/environments/keras-jax'\n")
    python = peer_environments.obtain_python("keras-jax")
    uv.unlink()
    assert peer_environments.obtain_python("keras-jax") == python


def test_every_peer_has_its_script_and_pinned_requirements(repository: Path) -> None:
    folder = repository / "benchmarks" / "peers"
    for peer in PEERS.values():
        assert (folder / f"{peer.module}.py").is_file()
        if peer.requirements is not None:
            assert peer_environments.pinned_versions(peer.requirements)


def test_evaluations_cost_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = {"now": 100.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])

    def evaluate() -> float:
        clock["now"] += 50
        return 0.5

    watch = Stopwatch(started=98.0)
    clock["now"] += 10
    watch.epoch_ended(evaluate)
    clock["now"] += 10
    watch.epoch_ended(evaluate)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["epoch"], line["seconds"]) for line in lines] == [(1, 12.0), (2, 22.0)]


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    sample = atelier.load_dataset("fashion-mnist-sample")
    train, test = sample.train, sample.test
    arrays = Arrays(train.images, train.labels, test.images, test.labels)
    arrays.save(tmp_path)
    for read, written in zip(Arrays.load(tmp_path), arrays, strict=True):
        assert (read == written).all()
    assert [len(array) for array in arrays.first(7)] == [7] * 4
