"""Optuna's study: its storage, its sampler, its pruner, and trials whose process has died."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from ..errors import ConfigError, StorageError
from ..extras import require
from ..storage import explained

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.study import Study

Pruner = Literal["median", "hyperband", "none"]
PRUNERS: tuple[Pruner, ...] = ("median", "hyperband", "none")
_ALLOWED = "sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE"
_HEARTBEAT_S = 20
_SILENT_S = 90  # after which the process of a trial is taken for dead
_RETRIES = 2  # of a trial whose process has died
_RANDOM_TRIALS = 8  # before the sampler has something to learn from

optuna.logging.set_verbosity(optuna.logging.ERROR)


class SeededTPE(BaseSampler):
    """The tree-structured Parzen estimator (Bergstra et al. 2011), multivariate (arXiv:2001.02394),
    with a seed of its own for each trial: a study that is gone on with draws what one that was
    never stopped would have drawn."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._sampler = TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        (seed,) = np.random.SeedSequence((self._seed, trial.number)).generate_state(1).tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._sampler = TPESampler(
                seed=seed,
                multivariate=True,
                constant_liar=True,  # trials of other processes count as if they did badly
                n_startup_trials=_RANDOM_TRIALS,
            )
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        self._sampler.after_trial(study, trial, state, values)


def open_study(url: str, name: str, *, seed: int, pruner: Pruner, num_epochs: int) -> Study:
    """The study `name` in the database at `url`, made where there is none.

    Trials of processes of this machine that are gone are tried again at once, and those of others
    after a minute and a half without a sign of life.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql+psycopg://...``.
        name: of the study.
        seed: of the sampler.
        pruner: which trials to stop early: those below the median of the others at the same epoch,
            Hyperband's (arXiv:1603.06560), or none.
        num_epochs: of a whole training.

    Raises:
        ConfigError: not such an address.
        StorageError: the database cannot be used.
        ExtraError: its driver is not installed.
    """
    parsed = _parsed(url)
    shown = parsed.render_as_string(hide_password=True)
    options: dict[str, Any] = {"connect_args": {"timeout": 60}}
    if parsed.get_backend_name() == "postgresql":
        require("psycopg", extra="postgres")
        options = {"connect_args": {"connect_timeout": 10}, "pool_pre_ping": True}
    else:
        folder = Path(str(parsed.database)).parent
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            storage = optuna.storages.RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=_HEARTBEAT_S,
                grace_period=_SILENT_S,
                heartbeat_stale_trial_callback=try_again,
            )
        study = optuna.create_study(
            study_name=name,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            sampler=SeededTPE(seed),
            pruner=_pruner(pruner, num_epochs),
        )
        _collect_dead(study)
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        cause = error.__cause__ or error
        reason = str(getattr(cause, "orig", None) or cause)
        raise StorageError(
            f"the study in {shown} cannot be used: {reason}",
            fix="Check the address and that the database runs and lets you in",
        ) from error
    return study


def shown(url: str) -> str:
    """The address without its password."""
    return _parsed(url).render_as_string(hide_password=True)


def mark_own(trial: optuna.Trial) -> None:
    """Note which process has this trial."""
    trial.set_user_attr("process", {"host": socket.gethostname(), "pid": os.getpid()})


def try_again(study: Study, trial: FrozenTrial) -> None:
    """Put a trial whose process has stopped in front of those to come, at most twice; it goes on
    in its old run folder."""
    tries = int(trial.user_attrs.get("tries", 1))
    if tries <= _RETRIES and trial.params:
        first = trial.user_attrs.get("first", trial.number)
        study.enqueue_trial(trial.params, user_attrs={"first": first, "tries": tries + 1})


def _collect_dead(study: Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        process = trial.user_attrs.get("process", {})
        if process.get("host") == socket.gethostname() and not _lives(int(process["pid"])):
            study.tell(trial.number, state=TrialState.FAIL)
            try_again(study, trial)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _pruner(name: Pruner, num_epochs: int) -> BasePruner:
    if name == "none":
        return optuna.pruners.NopPruner()
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(max_resource=num_epochs, reduction_factor=3)
    # Not in the first third, in which schedules with a warm-up tell little.
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=num_epochs // 3)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # Never the address itself, for a password may stand in it.
        raise ConfigError("this is no address of a database", allowed=_ALLOWED) from error
    kind = parsed.get_backend_name()
    if kind in ("postgres", "postgresql"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise ConfigError("a study is kept elsewhere", got=kind, allowed=_ALLOWED)
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigError("a study in memory could not be gone on with", allowed=_ALLOWED)
    return parsed.set(drivername="sqlite")
