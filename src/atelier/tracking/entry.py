"""`track`: finished runs into MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import AtelierError, ConfigError, RunError
from ..progress import progress_bar
from ..runs import Run
from .target import target_of


@dataclass(frozen=True)
class Tracked:
    """Runs that MLflow has.

    Attributes:
        uri: MLflow's tracking URI, without user and password.
        page: the address of its page, or the command that shows it.
        runs: of each run its folder and MLflow's ids, ``experiment_id``, ``run_id`` and
            ``model_id``.
    """

    uri: str
    page: str
    runs: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        lines = [f"{row['run']}: MLflow run {row['run_id']}" for row in self.runs]
        return "\n".join([*lines, f"look: {self.page}"])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def track(
    runs: str | Path | Run | Sequence[str | Path | Run],
    to: str = "mlflow",
    *,
    experiment: str | None = None,
    progress: bool = True,
) -> Tracked:
    """Send runs to MLflow: recipe, curves, machine, files, pictures and the model. What it has
    already is not sent again, and a run that was tracked while it was trained stays the same run.

    Args:
        runs: run folders or handles.
        to: ``mlflow`` for ``$MLFLOW_TRACKING_URI`` or else ``sqlite:///runs/mlflow.db``, or
            ``mlflow:URI``.
        experiment: what they belong to; None is ``$MLFLOW_EXPERIMENT_NAME``, or else the name of
            the data set.
        progress: show a bar on standard error.

    Raises:
        ConfigError: nothing to send, or not such a name or URI.
        RunError: a run folder cannot be used.
        AtelierError: MLflow cannot be reached, or does not take them.
        ExtraError: mlflow is not installed.
    """
    if isinstance(runs, str | Path | Run):
        runs = [runs]
    if not runs:
        raise ConfigError("there is nothing to track", fix="Name one or more run folders")
    target = target_of(to)
    handles = [run if isinstance(run, Run) else Run(run) for run in runs]
    found = []
    with progress_bar("track", len(handles), show=progress) as bar:
        try:
            from .mirror import Mirror

            mirror = Mirror(target, experiment)
            for done, run in enumerate(handles):
                bar.update(done, run.name)
                state = mirror.sync(run.path, ended=True)
                if state is None:
                    raise RunError(f"{run.path} was removed meanwhile")
                ids = {k: state[k] for k in ("experiment_id", "run_id", "model_id")}
                found.append({"run": str(run.path), **ids})
        except AtelierError:
            raise
        except Exception as error:  # MLflow's own, those of databases and of the network
            raise AtelierError(
                f"MLflow at {target.shown} does not take the runs: {error}",
                fix="Check the address and that the server runs and lets you in",
            ) from error
        bar.update(len(handles))
    return Tracked(target.shown, target.page, tuple(found))
