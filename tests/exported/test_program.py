"""Archives of torch may carry pickles and compiled code: none of it is loaded."""

import io
import json
import pickle
import zipfile

import pytest
import torch

import atelier
from atelier.errors import ExportError
from atelier.exported.seal import CARD, seal_archive


class Trap:
    """Its unpickling fails the test."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was loaded",)


def changed(export, path, change):
    """The archive of an export with other parts, sealed anew."""
    file = io.BytesIO()
    with zipfile.ZipFile(export.path) as old, zipfile.ZipFile(file, "w") as new:
        parts = {name: old.read(name) for name in old.namelist() if CARD not in name}
        for name, content in change(parts).items():
            new.writestr(name, content)
    path.write_bytes(seal_archive(file.getvalue(), atelier.load_export(export).card))
    return path


def test_an_archive_that_is_packed_anew_is_the_same_program(finished_program, tmp_path):
    path = changed(finished_program, tmp_path / "it.pt2", lambda parts: parts)
    images = atelier.load_dataset("fashion-mnist-sample").test.images[:3]
    expected = atelier.load_export(finished_program).answer(images)
    assert (atelier.load_export(path).answer(images).logits == expected.logits).all()


def pickled_example(parts):
    return {**parts, "archive/data/sample_inputs/model.pt": pickle.dumps(Trap())}


def pickled_weight(parts):
    name = "archive/data/weights/model_weights_config.json"
    config = json.loads(parts[name])
    first = next(iter(config["config"].values()))
    first["use_pickle"] = True
    weight = f"archive/data/weights/{first['path_name']}"
    return {**parts, name: json.dumps(config), weight: pickle.dumps(Trap())}


def pickled_constant(parts):
    return {**parts, "archive/data/constants/opaque_obj_0": pickle.dumps(Trap())}


def compiled_code(parts):
    return {**parts, "archive/data/aotinductor/model/it.so": b"\x7fELF"}


@pytest.mark.parametrize(
    "change", [pickled_example, pickled_weight, pickled_constant, compiled_code]
)
def test_more_than_weights_and_a_program_is_not_loaded(finished_program, tmp_path, change):
    path = changed(finished_program, tmp_path / "it.pt2", change)
    with pytest.raises(ExportError, match="holds more than weights and a program"):
        atelier.load_export(path)


def test_a_part_that_is_there_twice_is_not_loaded(finished_program, tmp_path):
    # Two readers of an archive may each take another of them.
    plain = changed(finished_program, tmp_path / "it.pt2", lambda parts: parts).read_bytes()
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if CARD not in name:
                new.writestr(name, old.read(name))
        with pytest.warns(UserWarning, match="Duplicate name"):
            new.writestr("archive/models/model.json", b"{}")
    path = tmp_path / "twice.pt2"
    path.write_bytes(seal_archive(file.getvalue(), atelier.load_export(finished_program).card))
    with pytest.raises(ExportError, match="holds more than weights and a program"):
        atelier.load_export(path)


def test_loading_leaves_the_threads_of_torch_as_they_are(finished_program):
    # A training in the same process would sum in another order.
    before = torch.get_num_threads()
    atelier.load_export(finished_program)
    assert torch.get_num_threads() == before
    atelier.load_export(finished_program, threads=before + 1)
    assert torch.get_num_threads() == before + 1
    torch.set_num_threads(before)


def test_a_broken_program_is_one_line(finished_program, tmp_path):
    def broken(parts):
        return {**parts, "archive/models/model.json": b"{}"}

    path = changed(finished_program, tmp_path / "it.pt2", broken)
    with pytest.raises(ExportError, match="torch refuses"):
        atelier.load_export(path)
