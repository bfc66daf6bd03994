"""The first look at a data set."""

import json

from atelier.data import load_dataset, summarize


def test_the_summary_reads_well_and_is_plain_data(sample):
    summary = summarize(sample)
    lines = str(summary).splitlines()
    assert lines[0] == (
        "fashion-mnist-sample: 1,000 training and 500 test images, 28 x 28 gray, 10 classes"
    )
    assert lines[3] == "T-shirt/top       100   10.0%        50   10.0%"
    assert lines[13] == "all             1,000  100.0%       500  100.0%"
    assert max(map(len, lines)) <= 100
    plain = json.loads(json.dumps(summary.to_dict()))
    assert plain["train_counts"] == [100] * 10
    assert plain["image_size"] == [28, 28]
    assert plain["fingerprint"] == sample.fingerprint


def test_imbalance_shows(tmp_path, parts, write_folder):
    labels = parts["train-labels"].copy()
    labels[:] = 3
    labels[:50] = 1
    summary = summarize(load_dataset(write_folder(tmp_path, {**parts, "train-labels": labels})))
    assert summary.train_counts == (0, 50, 0, 150, 0, 0, 0, 0, 0, 0)
    assert "75.0%" in str(summary)
