"""Maps of the finished run, for all tests of this folder."""

import shutil

import pytest

import atelier
from atelier import load_run


@pytest.fixture(scope="session")
def mapped(finished_run, tmp_path_factory):
    """A copy of the finished run to keep maps in: for reading only."""
    return load_run(shutil.copytree(finished_run.path, tmp_path_factory.mktemp("maps") / "run"))


@pytest.fixture(scope="session")
def maps(mapped):
    """The map that `mapped` keeps."""
    return atelier.embeddings(mapped, method="pca", images=200, progress=False)
