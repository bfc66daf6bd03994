"""Where to track: what people write, and no password in what is shown."""

import pytest

from atelier.errors import ConfigError
from atelier.tracking import target_of


def test_the_default_is_a_file_beside_the_runs(here, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    target = target_of("mlflow")
    assert target.file == here / "runs" / "mlflow.db"
    assert target.artifacts == (here / "runs" / "mlflow-artifacts").as_uri()
    assert target.page == f"mlflow ui --backend-store-uri sqlite:///{here}/runs/mlflow.db"


def test_the_variable_of_mlflow_counts_and_a_uri_more(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    assert target_of("mlflow").uri == "http://tracking.example:5000"
    assert target_of("mlflow:https://other.example").uri == "https://other.example"
    assert target_of("mlflow").artifacts is None  # the server knows


def test_a_password_is_not_shown():
    target = target_of("mlflow:https://user:secret@host.example:5000/x")
    assert target.shown == target.page == "https://host.example:5000/x"
    assert "secret" in target.uri


@pytest.mark.parametrize(
    "text", ["wandb", "mlflow:", "mlflow:runs/x.db", "mlflow:ftp://u:secret@h"]
)
def test_other_words_are_refused(text):
    with pytest.raises(ConfigError, match=r"allowed: mlflow, mlflow:sqlite") as caught:
        target_of(text)
    assert "secret" not in str(caught.value)
