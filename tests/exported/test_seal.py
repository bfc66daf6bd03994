"""Files that are not what an export was: refused, each in one line, before a runtime sees them."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

import atelier
from atelier.errors import AtelierError, ExportError
from atelier.exported import ExportedModel
from atelier.exported.seal import CARD, MAX_BYTES, read_sealed, seal_archive, seal_onnx


@pytest.fixture(scope="module", params=["onnx", "torch"])
def export(request, finished_export, finished_program):
    return finished_export if request.param == "onnx" else finished_program


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where a changed file is put, again and again."""
    return tmp_path_factory.mktemp("changed") / "it"


@pytest.fixture(scope="module")
def card(finished_export):
    """A card that fits the shared export."""
    return atelier.load_export(finished_export).card


@given(st.data())
def test_any_changed_byte_is_refused(export, place, data):
    content = bytearray(export.path.read_bytes())
    # From both ends alike, for the card and the seal stand at the end.
    at = data.draw(st.integers(-len(content), len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    place.write_bytes(content)
    with pytest.raises(ExportError, match=r"has changed since it was exported|was cut off"):
        read_sealed(place)


@given(st.data())
def test_a_file_that_was_cut_off_or_continued_is_refused(export, place, data):
    content = export.path.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    more = data.draw(st.binary(min_size=1, max_size=100))
    for changed in (content[:length], content + more, more + content):
        place.write_bytes(changed)
        with pytest.raises(ExportError):
            read_sealed(place)


@given(st.sampled_from([b"", b"PK", b"PK\x03\x04"]), st.binary(max_size=300))
def test_bytes_with_a_seal_of_their_own_are_refused(card, place, start, content):
    place.write_bytes(seal_onnx(start + content, card))
    with pytest.raises(ExportError):
        ExportedModel(place)


def test_no_runtime_sees_a_changed_file(export, place, monkeypatch):
    def seen(*_args, **_options):
        raise AssertionError("a runtime was given a changed file")

    monkeypatch.setattr("onnxruntime.InferenceSession", seen)
    monkeypatch.setattr("torch.export.load", seen)
    content = bytearray(export.path.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    with pytest.raises(ExportError, match="has changed since"):
        ExportedModel(place)


# What is written can be read by those whose formats it has.


def test_an_onnx_export_is_whole_for_onnx(finished_export):
    model = onnx.load(finished_export.path)
    onnx.checker.check_model(model, full_check=True)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert entries[CARD] == atelier.load_export(finished_export).card.model_dump_json()
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.opset_import[0].version >= 21


def test_a_torch_program_is_whole_for_torch(finished_program):
    program = torch.export.load(io.BytesIO(finished_program.path.read_bytes()))
    logits, probs, embedding = program.module()(torch.zeros(3, 1, 28, 28, dtype=torch.uint8))
    assert (logits.shape, probs.shape, embedding.shape) == ((3, 10), (3, 10), (3, 16))


def test_an_export_does_not_tell_where_it_was_made(export):
    content = export.path.read_bytes()
    for told in (b"site-packages", b"atelier/src", b"/home/", bytes(Path.cwd())):
        assert told not in content


# Files of every other kind.


def other_onnx(path, *, external=False):
    """A valid ONNX file that atelier has not made."""
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, np.float32))
    if external:
        path.with_name("w.bin").write_bytes(bytes(16))
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
    places = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", places[:1], places[1:], [tensor])
    opset = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()


def refusal(path):
    """What is said of a file, in one line."""
    with pytest.raises(ExportError) as refused:
        ExportedModel(path)
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_a_missing_file_and_a_folder(tmp_path):
    assert "there is no file" in refusal(tmp_path / "none.onnx")
    assert "is a folder" in refusal(tmp_path)


def test_an_empty_file_and_one_of_another_kind(tmp_path):
    for content in (b"", b"x", b"PK\x05\x06" + bytes(18), b"text\n" * 100, other_onnx(tmp_path)):
        (tmp_path / "it.onnx").write_bytes(content)
        assert "is not an export by atelier, or was cut off" in refusal(tmp_path / "it.onnx")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "it.onnx")
    assert "not a regular file" in refusal(tmp_path / "it.onnx")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "it.onnx"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # it takes no room on the disk
    assert "too large for an export" in refusal(path)
    os.truncate(path, MAX_BYTES - 1)
    assert "has no seal" in refusal(path)


def test_a_file_that_may_not_be_read(tmp_path, finished_export, monkeypatch):
    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(AtelierError, match="Permission denied"):
        ExportedModel(finished_export)


def test_weights_in_other_files_are_not_loaded(tmp_path, card, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it.onnx"
    path.write_bytes(seal_onnx(other_onnx(path, external=True), card))
    assert "ONNX Runtime refuses" in refusal(path)


def test_a_graph_that_is_not_of_its_card(tmp_path, finished_export, card):
    path = tmp_path / "it.onnx"
    path.write_bytes(seal_onnx(other_onnx(path), card))
    assert "is not of the shape that its card says" in refusal(path)
    graph = onnx.load_model_from_string(finished_export.path.read_bytes())
    del graph.metadata_props[:]
    for change in ({"classes": ("a", "b")}, {"image_shape": (1, 14, 28)}, {"embedding_size": 8}):
        path.write_bytes(seal_onnx(graph.SerializeToString(), card.model_copy(update=change)))
        assert "is not of the shape that its card says" in refusal(path)


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"threshold": 1.5},
        {"temperature": 0.0},
        {"mean": (0.1, 0.2)},
        {"classes": ("a", "a")},
        {"image_shape": (2, 28, 28)},
        {"weights_sha256": "none"},
        {"invented": 1},
    ],
)
def test_a_card_of_another_version_or_out_of_range(tmp_path, card, change):
    path = tmp_path / "it.onnx"
    path.write_bytes(seal_onnx(b"", type(card).model_construct(**{**dict(card), **change})))
    if "invented" in change:
        text = card.model_dump_json().replace("{", '{"invented":1,', 1)
        path.write_bytes(seal_onnx(b"", _Said(text)))
    assert "is not an export of this version of atelier" in refusal(path)


class _Said:
    """A card of any text."""

    def __init__(self, text):
        self.model_dump_json = lambda: text


def test_archives_of_other_things(tmp_path, finished_program, card):
    path = tmp_path / "it.pt2"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/harmless.txt", "hello")
    path.write_bytes(seal_archive(file.getvalue(), card))
    assert "holds more than weights and a program" in refusal(path)
