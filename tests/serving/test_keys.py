"""Files of keys: what is kept, who is let in, and what happens to a file that changes."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime, timedelta

import pytest

from atelier.errors import ConfigError
from atelier.serving.binding import is_loopback, known_hosts, name_of, refuse_open_door
from atelier.serving.keys import KeyFile, add_key, read_keys, remove_key


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.json"


def edited(path, **changes):
    """Change fields of the first key in a file."""
    content = json.loads(path.read_text())
    content["keys"][0].update(changes)
    path.write_text(json.dumps(content))


def test_a_key_is_let_in_and_kept_nowhere(path):
    key, entry = add_key(path, "anna")
    assert KeyFile(path).holder(key) == "anna"
    assert len(key) >= 43  # 256 bits
    text = path.read_text()
    assert key not in text
    assert key.removeprefix("atelier_") not in text
    assert entry.expires is None


def test_two_keys_have_nothing_in_common(path):
    (one, first), (two, second) = add_key(path, "anna"), add_key(path, "bob")
    assert one != two
    assert first.salt != second.salt
    keys = KeyFile(path)
    assert (keys.holder(one), keys.holder(two)) == ("anna", "bob")


def test_the_file_is_for_its_owner_alone(path):
    for name in ("anna", "bob"):
        add_key(path, name)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    remove_key(path, "bob")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]


@pytest.mark.parametrize(
    "given", ["", "x", "atelier_", "A" * 51, "a" * 100_000, "\x00", "schlüssel", "\ud800"]
)
def test_what_is_no_key_is_not_let_in(path, given):
    add_key(path, "anna")
    assert KeyFile(path).holder(given) is None


def test_a_key_expires(path):
    key, entry = add_key(path, "anna", expires="90d")
    assert entry.expires - entry.created == timedelta(days=90)
    keys = KeyFile(path)
    assert keys.holder(key) == "anna"
    past = datetime.now(UTC) - timedelta(seconds=1)
    edited(path, expires=past.isoformat())
    assert keys.holder(key) is None


@pytest.mark.parametrize(("text", "hours"), [("12h", 12), ("1d", 24), ("4w", 4 * 7 * 24)])
def test_times_to_expire(path, text, hours):
    _, entry = add_key(path, "anna", expires=text)
    assert entry.expires - entry.created == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text", ["", "90", "d", "0d", "-1d", "1.5d", "3y", "99999d", "\uff11d", "1d "]
)
def test_a_time_that_is_none_is_refused(path, text):
    with pytest.raises(ConfigError, match="12h, 90d, 4w"):
        add_key(path, "anna", expires=text)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", " ", "a b", "../x", "-a", "a" * 65, "ä", "a\n", "a/b"])
def test_a_name_that_is_none_is_refused(path, name):
    with pytest.raises(ConfigError, match="no name for a key"):
        add_key(path, name)
    assert not path.exists()


def test_a_taken_name_is_refused(path):
    add_key(path, "anna")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="keys remove anna"):
        add_key(path, "anna")
    assert path.read_bytes() == before


def test_an_unknown_name_is_not_removed(path):
    add_key(path, "anna")
    with pytest.raises(ConfigError, match="Did you mean 'anna'"):
        remove_key(path, "ana")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format_version": 2, "keys": []}',
        b'{"format_version": 1, "keys": [{"name": "anna"}]}',
        b'{"format_version": 1, "keys": [], "more": 1}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b" " * 2**21,
    ],
)
def test_a_damaged_file_is_refused_in_a_line(path, content):
    path.write_bytes(content)
    for read in (read_keys, KeyFile, lambda path: add_key(path, "anna")):
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("digest", ["", "zz" * 32, "ab" * 31, "AB" * 32, "ab" * 32 + "\n"])
def test_a_digest_that_is_none_is_refused(path, digest):
    add_key(path, "anna")
    edited(path, digest=digest)
    with pytest.raises(ConfigError, match="damaged"):
        KeyFile(path)


def test_two_keys_of_one_name_are_refused(path):
    add_key(path, "anna")
    content = json.loads(path.read_text())
    content["keys"] *= 2
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="two keys"):
        read_keys(path)


def test_a_file_that_is_not_there_says_how_to_make_it(path):
    with pytest.raises(ConfigError, match="atelier keys add NAME --file"):
        KeyFile(path)
    with pytest.raises(ConfigError, match="not a file"):
        KeyFile(path.parent)


def test_a_file_without_a_good_key_starts_no_service(path):
    add_key(path, "anna")
    remove_key(path, "anna")
    with pytest.raises(ConfigError, match="nobody could come in"):
        KeyFile(path)


def test_a_file_that_anybody_may_write_is_refused(path):
    add_key(path, "anna")
    path.chmod(0o602)
    with pytest.raises(ConfigError, match="chmod 600"):
        KeyFile(path)


def test_changes_are_seen_at_once(path, caplog):
    anna, _ = add_key(path, "anna")
    keys = KeyFile(path)
    bob, _ = add_key(path, "bob")
    assert keys.holder(bob) == "bob"
    remove_key(path, "anna")
    assert keys.holder(anna) is None
    remove_key(path, "bob")
    assert keys.holder(bob) is None  # nobody is let in, rather than everybody


@pytest.mark.parametrize("damage", ["cut", "gone", "folder"])
def test_a_file_that_breaks_leaves_the_last_keys_in_force(path, caplog, damage):
    key, _ = add_key(path, "anna")
    keys = KeyFile(path)
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[:40])
    elif damage == "folder":
        path.mkdir()
    with caplog.at_level(logging.ERROR, logger="atelier"):
        assert keys.holder(key) == "anna"
        assert keys.holder("wrong") is None
    assert len(caplog.records) == 1  # told once, and not at every request
    assert str(path) in caplog.text
    if damage == "folder":
        path.rmdir()
    other, _ = add_key(path, "bob") if damage != "cut" else (key, path.write_bytes(whole))
    assert keys.holder(other) is not None


def test_a_file_of_the_same_size_and_time_is_read_again(path):
    """Another file was put in its place by a rename, as `atelier keys` does."""
    anna, _ = add_key(path, "anna")
    keys = KeyFile(path)
    before = path.stat()
    other = path.with_name("other.json")
    bob, _ = add_key(other, "anna")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert other.stat().st_size == before.st_size
    other.replace(path)
    assert (keys.holder(bob), keys.holder(anna)) == ("anna", None)


# The command line.


def test_the_whole_life_of_a_key(call, here):
    code, key, told = call("keys", "add", "anna", "--expires", "90d")
    assert code == 0
    assert "note it now" in told
    assert KeyFile(here / "atelier-keys.json").holder(key.strip()) == "anna"
    listed = call("keys", "list")[1]
    assert listed.startswith("anna")
    assert "good until" in listed
    assert key.strip() not in listed
    assert call("keys", "remove", "anna")[:2] == (0, "removed: anna\n")
    assert "has no keys" in call("keys", "list")[1]


def test_another_file(call, here):
    code, key, _ = call("keys", "add", "anna", "--file", "door/keys.json")
    assert code == 0
    assert KeyFile(here / "door" / "keys.json").holder(key.strip()) == "anna"


def test_expired_keys_are_told(call, here):
    call("keys", "add", "anna", "--expires", "1h")
    edited(here / "atelier-keys.json", expires="2020-01-01T00:00:00Z")
    assert "expired 2020-01-01" in call("keys", "list")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("keys",),
        ("keys", "add"),
        ("keys", "forget", "anna"),
        ("keys", "add", "a b"),
        ("keys", "add", "anna", "--expires", "soon"),
        ("keys", "list"),
        ("keys", "remove", "anna"),
        ("keys", "add", "anna", "--file", "."),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(refused, words):
    assert refused(*words)


# The door.


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"]
)
def test_loopback_needs_no_key(host):
    assert is_loopback(host)
    refuse_open_door(host, None)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.1", "example.org", "localhost.example.org", "", "127.0.0"]
)
def test_anything_wider_does(host, path):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match=r"atelier keys add NAME.*--keys"):
        refuse_open_door(host, None)
    refuse_open_door(host, path)


def test_the_names_of_a_service():
    assert known_hosts("127.0.0.1") == {"localhost", "127.0.0.1", "[::1]"}
    assert "127.1.2.3" in known_hosts("127.1.2.3", ["Shop.example"])
    assert "shop.example" in known_hosts("127.0.0.1", ["Shop.example"])
    assert known_hosts("0.0.0.0") is None
    assert known_hosts("0.0.0.0", ["shop.example"]) == {"shop.example"}
    assert [name_of(h) for h in ("a:1", "A", "[::1]:2", "[::1]", "")] == [
        "a",
        "a",
        "[::1]",
        "[::1]",
        "",
    ]
