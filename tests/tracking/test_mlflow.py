"""What MLflow then has, asked of MLflow itself, in a process of its own: its import warns."""

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import atelier
from mlflow.tracking import MlflowClient

uri, folder = sys.argv[1:]
overrides = ["model.width=16", "train.num_epochs=2", "train.warmup_epochs=0", "train.batch_size=64"]
run = atelier.train(
    "mlp", data="fashion-mnist-sample", overrides=overrides, out=folder, progress=False,
    track=f"mlflow:{uri}",
)
client = MlflowClient(uri)
live = json.loads((run.path / "mlflow.json").read_text())["run_id"]
tracked = atelier.track(run, f"mlflow:{uri}", progress=False).runs[0]
found = client.get_run(live)
print(json.dumps({
    "same": tracked["run_id"] == live,
    "status": found.info.status,
    "params": dict(found.data.params),
    "curve": [[m.step, m.value] for m in client.get_metric_history(live, "validation/accuracy")],
    "files": sorted(f.path for f in client.list_artifacts(live)),
    "models": [m.status for m in client.search_logged_models([found.info.experiment_id])],
    "experiment": client.get_experiment(found.info.experiment_id).name,
}))
"""


def test_a_training_is_mirrored_and_its_run_stays_the_same(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, uri, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    history = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    accuracies = [json.loads(line)["validation/accuracy"] for line in history]
    assert found["same"]
    assert found["status"] == "FINISHED"
    assert found["experiment"] == "fashion-mnist-sample"
    assert found["params"]["train.num_epochs"] == "2"
    assert found["curve"] == [[1, accuracies[0]], [2, accuracies[1]]]
    assert {"recipe.json", "metrics.jsonl", "environment.json"} <= set(found["files"])
    assert len(found["models"]) == 1
    assert "READY" in str(found["models"][0])
    assert not list(tmp_path.rglob("*.pkl"))
