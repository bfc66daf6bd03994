"""The errors of `cnn` that come with the package."""

import json

from atelier.robustness.corruptions import CORRUPTIONS
from atelier.robustness.reference import kept_reference

# Of Fashion-MNIST, as `atelier fetch` prints its beginning.
FINGERPRINT_START = "1686d07bbc12b9bd"


def test_the_kept_errors_are_of_every_corruption_as_it_is_now(repository):
    path = repository / "src/atelier/robustness/cnn_fashion_mnist.json"
    kept = json.loads(path.read_text())
    assert kept["data_fingerprint"].startswith(FINGERPRINT_START)
    found = kept_reference(kept["data_fingerprint"], "test")
    assert found is not None, "made by an earlier version: run benchmarks.corruption_reference"
    assert set(found.errors) == set(CORRUPTIONS)
    assert 0.05 < found.clean < 0.1
    assert all(0 < error < 1 for row in found.errors.values() for error in row)
    assert "seed 0" in found.words


def test_other_data_have_no_reference():
    assert kept_reference("another", "test") is None
    assert kept_reference("another", "validation") is None
