"""Fetching from the network: mirrors and apt, played by this machine."""

import gzip
import http.server
import signal
import subprocess
import threading
from contextlib import contextmanager

import pytest

from atelier.data import fetch, sources
from atelier.errors import DataError

# torchvision's mirrors, played by a server on this machine.


@pytest.fixture
def mirror(published, monkeypatch, only):
    """A server of the published files; `mirror[name] = (status, body, length)` spoils one."""
    from torchvision.datasets import FashionMNIST  # takes seconds to import

    spoiled = {}
    stop = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            body = (published / name).read_bytes()
            status, body, length = spoiled.get(name, (200, body, len(body)))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(body)
            if length > len(body) and status == 200 and spoiled.get("hang"):
                stop.wait(30)

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    only(sources.from_mirrors)
    yield spoiled
    stop.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_from_the_mirrors(mirror, capsys):
    assert len(fetch().train) == 200
    assert "train-images-idx3-ubyte.gz 100 %" in capsys.readouterr().err
    assert not mirror


def test_the_second_mirror_is_tried_after_the_first(mirror, monkeypatch):
    from torchvision.datasets import FashionMNIST

    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://127.0.0.1:1/", *FashionMNIST.mirrors])
    assert len(fetch(progress=False).train) == 200
    assert not mirror


ONE_LABEL = gzip.compress(b"\0\0\x08\x01\0\0\0\x01\0", mtime=0)
SPOILED = {
    "gone": (404, b"gone", 4, "HTTP Error 404"),
    "cut off": (200, b"x" * 50, 9000, "was cut off after 50 of 9,000 bytes"),
    "corrupt": (200, b"\x1f\x8bcorrupt", 9, "corrupt gzip"),
    "a login page": (200, b"<html>log in", 12, "wrong magic"),
    "other labels": (200, ONE_LABEL, len(ONE_LABEL), "holds 1 labels"),
}


@pytest.mark.parametrize(("status", "body", "length", "words"), SPOILED.values(), ids=SPOILED)
def test_a_bad_answer_of_a_mirror_leaves_nothing(mirror, status, body, length, words, left_behind):
    mirror["t10k-labels-idx1-ubyte.gz"] = (status, body, length)
    with pytest.raises(DataError) as caught:
        fetch(progress=False)
    assert words in str(caught.value)
    assert "--from DIR" in str(caught.value)
    assert left_behind() == []


def test_a_mirror_that_falls_silent_is_left(mirror, monkeypatch, left_behind):
    monkeypatch.setattr(sources, "_MIRROR_TIMEOUT_SECONDS", 0.2)
    mirror["train-labels-idx1-ubyte.gz"] = (200, b"x" * 50, 9000)
    mirror["hang"] = True
    with pytest.raises(DataError, match="timed out"):
        fetch(progress=False)
    assert left_behind() == []


def test_a_mirror_that_never_ends_is_left(mirror, monkeypatch, left_behind):
    monkeypatch.setattr(sources, "_MAX_DOWNLOAD_BYTES", 1000)
    with pytest.raises(DataError, match="sends more than 1,000 bytes"):
        fetch(progress=False)
    assert left_behind() == []
    assert not mirror


# apt-get and dpkg, played by two small scripts.


@pytest.fixture
def programs(published, tmp_path, monkeypatch, only):
    """A PATH on which `apt-get` downloads and `dpkg -x` unpacks the published files."""
    folder = tmp_path / "bin"
    folder.mkdir()
    package = tmp_path / "package.tar"
    package.write_bytes(b"a package")
    where = "unpacked/nowhere/fashion-mnist"
    scripts = {
        "apt-get": f"""
            if [ "$2" = --print-uris ]; then
                echo "'http://mirror/x.deb' x.deb 9 SHA256:00"
            else
                cp {package} x.deb
            fi""",
        "dpkg": f'[ "$1 $2 $3" = "-x $PWD/x.deb unpacked" ] || exit 7\n'
        f"mkdir -p {where} && cp {published}/*.gz {where}",
    }
    for name, script in scripts.items():
        write_program(folder / name, script)
    monkeypatch.setenv("PATH", str(folder))
    only(sources.from_apt)
    return folder


def write_program(path, script):
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    path.chmod(0o755)


def test_from_apt_without_root(programs, said, capsys, left_behind):
    assert len(fetch(say=said.append).train) == 200
    assert "dataset-fashion-mnist 100 %" in capsys.readouterr().err
    assert {path.parent.name for path in left_behind()} == {"fashion-mnist"}
    assert (programs / "apt-get").exists()


@pytest.mark.parametrize("missing", ["apt-get", "dpkg"])
def test_no_apt_on_this_machine_is_said(programs, missing):
    (programs / missing).unlink()
    with pytest.raises(DataError, match=f"this machine has no {missing}"):
        fetch()


@pytest.mark.parametrize(
    ("program", "script", "words"),
    [
        ("apt-get", "echo 'E: Unable to locate package' >&2; exit 100", "E: Unable to locate"),
        ("apt-get", "exit 0", "does not say where"),
        ("dpkg", "exit 2", "`dpkg -x` failed: exit code 2"),
    ],
)
def test_a_failing_program_says_why_and_what_to_do(
    programs, said, program, script, words, left_behind
):
    write_program(programs / program, script)
    with pytest.raises(DataError, match=words):
        fetch(progress=False, say=said.append)
    assert "apt-get update" in said[-1]
    assert left_behind() == []


def test_apt_that_hangs_is_ended(programs, monkeypatch, left_behind):
    monkeypatch.setattr(sources, "_APT_TIMEOUT_SECONDS", 0.1)
    write_program(programs / "apt-get", "exec sleep 30")
    with pytest.raises(DataError, match="took over"):
        fetch(progress=False)
    assert left_behind() == []


def test_apt_is_ended_with_an_interrupted_fetch(programs, left_behind, monkeypatch):
    write_program(
        programs / "apt-get",
        """if [ "$2" = --print-uris ]; then echo "'http://mirror/x.deb' x.deb 9 SHA256:00"
        else echo half > x.deb; exec sleep 30; fi""",
    )
    started = []

    class InterruptedBar:
        def update(self, _completed, _note=""):
            raise KeyboardInterrupt

    @contextmanager
    def interrupted(*_args, **_options):
        yield InterruptedBar()

    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )
    monkeypatch.setattr(sources, "progress_bar", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch()
    assert len(started) == 2
    assert started[-1].returncode == -signal.SIGKILL
    assert left_behind() == []
