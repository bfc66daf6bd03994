"""Run folders in MLflow. Only what is missing there is sent, so that it can be called at any time.

The model is a logged model of MLflow's with the flavor ``atelier``: safetensors and JSON. It has no
``python_function`` flavor, for MLflow would load that by unpickling.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..storage import write_json
from ..version import __version__
from .folder import STATE, RunFacts, files_of, read_facts, weights_digest
from .target import Target

# Read by MLflow when it is imported. A server that does not answer is given up soon: the next epoch
# tries again.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
_MOST_PARAMS, _MOST_METRICS = 100, 900  # of one call; MLflow takes 1,000 entries in all


class Mirror:
    """MLflow's copy of run folders.

    Args:
        target: the MLflow.
        experiment: what the runs belong to; None is ``$MLFLOW_EXPERIMENT_NAME``, or else the name
            of the data set.
    """

    def __init__(self, target: Target, experiment: str | None = None) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        self._target = target
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        with _quiet():
            import mlflow

            for logger in ("mlflow", "alembic"):
                logging.getLogger(logger).setLevel(logging.ERROR)
            if target.file is not None:
                target.file.parent.mkdir(parents=True, exist_ok=True)
            self._client = mlflow.MlflowClient(target.uri, registry_uri=target.uri)
        self._begun: dict[Path, str] = {}

    def sync(self, folder: Path, *, ended: bool = False) -> dict[str, Any] | None:
        """Send what MLflow lacks of `folder`.

        Args:
            folder: of a run, finished or not.
            ended: whether nothing more will come: a run that is not finished then was stopped.

        Returns:
            What is kept in ``mlflow.json``: ``run_id`` and more; None where there is no run.
        """
        with _quiet():
            facts = read_facts(folder)
            if facts is None:
                run_id = self._begun.pop(folder, None)
                if run_id is not None:  # removed again, as after a loss that was no number
                    self._client.set_terminated(run_id, "FAILED")
                return None
            state = self._state_of(folder, facts)
            self._send_rows(folder, facts, state)
            status = "KILLED" if ended and facts.status == "RUNNING" else facts.status
            if facts.summary:
                self._send_summary(folder, facts, state)
                self._send_model(folder, facts, state)
            if status != "RUNNING":
                for path, place in files_of(folder):
                    self._client.log_artifact(state["run_id"], str(path), place or None)
            end = None if status == "RUNNING" else max([facts.start, *facts.times])
            if status != state["status"]:
                if end is None:
                    self._client.update_run(state["run_id"], status)
                else:
                    self._client.set_terminated(state["run_id"], status, end)
                self._keep(folder, state, status=status)
            return state

    def _state_of(self, folder: Path, facts: RunFacts) -> dict[str, Any]:
        path = folder / STATE
        if path.is_file():
            state: dict[str, Any] = json.loads(path.read_bytes())
            if state.get("tracking_uri") == self._target.shown and (
                folder in self._begun or self._is_there(state["run_id"])
            ):
                self._begun[folder] = state["run_id"]
                return state
        experiment = self._experiment_id(self._experiment or facts.data)
        tags = {
            "mlflow.source.name": f"atelier {__version__}",
            "mlflow.source.type": "LOCAL",
            "mlflow.user": _user(),
            **facts.tags,
        }
        run = self._client.create_run(experiment, facts.start, tags, facts.name)
        run_id = run.info.run_id
        state = {
            "tracking_uri": self._target.shown,
            "experiment_id": experiment,
            "run_id": run_id,
            "status": "RUNNING",
            "epochs": 0,
            "summary": {},
            "model_id": None,
            "weights": None,
        }
        # Kept first: if the parameters fail, they are sent to the same run.
        self._keep(folder, state, params=False)
        self._begun[folder] = run_id
        return state

    def _send_rows(self, folder: Path, facts: RunFacts, state: dict[str, Any]) -> None:
        from mlflow.entities import Metric, Param

        if not state["params"]:
            params = [Param(name, value) for name, value in facts.params.items()]
            for start in range(0, len(params), _MOST_PARAMS):
                part = params[start : start + _MOST_PARAMS]
                self._client.log_batch(state["run_id"], params=part)
            self._keep(folder, state, params=True)
        metrics = [
            Metric(name, value, when, int(row["epoch"]))
            for row, when in list(zip(facts.rows, facts.times, strict=True))[state["epochs"] :]
            for name, value in row.items()
            if name != "epoch"
        ]
        for start in range(0, len(metrics), _MOST_METRICS):
            self._client.log_batch(state["run_id"], metrics[start : start + _MOST_METRICS])
        if metrics:
            self._keep(folder, state, epochs=len(facts.rows))

    def _send_summary(self, folder: Path, facts: RunFacts, state: dict[str, Any]) -> None:
        from mlflow.entities import Metric

        known = state["summary"]
        changed = {name: v for name, v in facts.summary.items() if known.get(name) != v}
        if changed:
            step, now = int(facts.summary["kept_epoch"]), int(1000 * time.time())
            metrics = [Metric(name, value, now, step) for name, value in changed.items()]
            self._client.log_batch(state["run_id"], metrics)
            self._keep(folder, state, summary=facts.summary)

    def _send_model(self, folder: Path, facts: RunFacts, state: dict[str, Any]) -> None:
        from mlflow.entities import LoggedModelOutput

        digest = weights_digest(folder)
        if digest is None or digest == state["weights"]:
            return
        model = self._client.create_logged_model(
            state["experiment_id"],
            name="model",
            source_run_id=state["run_id"],
            tags={"atelier.weights_sha256": digest},
            params={"recipe": facts.params["name"], "network": facts.params["model.name"]},
            model_type="image-classifier",
        )
        with tempfile.TemporaryDirectory(prefix="atelier-track-") as temporary:
            home = Path(temporary)
            for name in ("model.safetensors", "model.json", "calibration.json"):
                if (folder / name).is_file():
                    # Linked and not copied: weights may be large.
                    (home / name).symlink_to((folder / name).resolve())
            _write_card(home, folder, model.model_id, state["run_id"])
            self._client.log_model_artifacts(model.model_id, str(home))
        self._client.finalize_logged_model(model.model_id, "READY")
        step = int(facts.summary["kept_epoch"])
        self._client.log_outputs(state["run_id"], [LoggedModelOutput(model.model_id, step)])
        self._keep(folder, state, model_id=model.model_id, weights=digest)

    def _experiment_id(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name, self._target.artifacts))
            except Exception:
                # Another process was faster.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return str(found.experiment_id)

    def _is_there(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self._client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _keep(self, folder: Path, state: dict[str, Any], **changes: Any) -> None:
        state.update(changes)
        if (folder / "recipe.json").is_file():  # a training may have removed its folder meanwhile
            write_json(folder / STATE, state)


def _write_card(home: Path, folder: Path, model_id: str, run_id: str) -> None:
    """MLflow's own description of a model, with the shapes that it takes and gives."""
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    card = json.loads((folder / "model.json").read_bytes())
    images = TensorSpec(np.dtype("uint8"), (-1, *card["image_shape"]), "images")
    logits = TensorSpec(np.dtype("float32"), (-1, len(card["classes"])), "logits")
    described = Model(
        run_id=run_id,
        model_id=model_id,
        signature=ModelSignature(inputs=Schema([images]), outputs=Schema([logits])),
        flavors={
            "atelier": {
                "version": __version__,
                "weights": "model.safetensors",
                "card": "model.json",
                "load_with": "atelier.load_run(RUN), where RUN is the run folder",
            }
        },
    )
    described.save(str(home / "MLmodel"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the deprecations of MLflow's own imports, and without its links to runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
