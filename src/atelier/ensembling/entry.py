"""`ensemble`: from several runs to one run folder."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import ConfigError, StorageError
from ..runs import Run
from ..storage import refuse_existing
from ..training.entry import default_run_path
from ..training.run_folder import refuse_other_things
from .making import Maker, Soup
from .members import Member, members_of, snapshots_of
from .run_folder import write_run
from .soups import refuse_other_architectures

Say = Callable[[str], None]


def ensemble(
    runs: Sequence[Run | str | Path] | Run | str | Path,
    *,
    out: str | Path | None = None,
    soup: Soup | None = None,
    snapshots: bool = False,
    last: int | None = None,
    overwrite: bool = False,
    device: str = "auto",
    say: Say | None = None,
) -> Run:
    """Make one run of several: every verb takes it as it takes one that was trained.

    An ensemble predicts by the mean of its members' probabilities (Lakshminarayanan et al. 2017,
    arXiv:1612.01474); the recipes may differ. A soup averages the weights instead, at the cost of
    one network (Wortsman et al. 2022, arXiv:2203.05482). The test images are not looked at; what
    the members have all held out is the validation part of the new run, if there is such.

    Args:
        runs: finished runs on the same data.
        out: the new run folder; None is ``runs/RECIPE-ensemble-DATA-sSEED`` of the first run.
        soup: ``uniform`` averages all; ``greedy`` begins with the best on validation, and takes in
            what makes validation no worse; None makes an ensemble.
        snapshots: of the one run, the weights at the ends of its cycles (Huang et al. 2017,
            arXiv:1704.00109), which a training with ``train.snapshots`` has kept.
        last: of the snapshots, only so many from the end; None takes all.
        overwrite: replace what stands at `out`.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        say: receives each sentence on what was found; standard error by default.

    Raises:
        ConfigError: too few runs, or options that do not go together.
        RunError: a run cannot be used, or the runs do not fit together.
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device.
        StorageError: `out` exists, no space, or no permission.
    """
    if soup not in (None, "uniform", "greedy"):
        raise ConfigError("unknown soup", got=soup, allowed=["uniform", "greedy"])
    given = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    opened = [run if isinstance(run, Run) else Run(run) for run in given]
    members = _members(opened, soup=soup, snapshots=snapshots, last=last)
    if soup is not None:
        refuse_other_architectures(members)
    kind = f"{soup}-soup" if soup else "snapshots" if snapshots else "ensemble"
    name = f"{members[0].run.recipe.name}-{kind}"
    recipe = members[0].run.recipe.model_copy(update={"name": name})
    path = Path(out) if out is not None else default_run_path(recipe)
    _refuse_place(path, opened, overwrite=overwrite)
    maker = Maker(members, device)
    made = maker.soup(soup) if soup else maker.ensemble()
    words = ["atelier", "ensemble", *(str(run.path) for run in opened)]
    words += ["--soup", soup] if soup else []
    words += ["--snapshots"] if snapshots else []
    words += ["--last", str(last)] if last is not None else []
    command = shlex.join(words)
    for note in write_run(
        path, maker, made, name=name, kind=kind, command=command, overwrite=overwrite
    ):
        (say or _say)(note)
    return Run(path)


def _refuse_place(path: Path, runs: list[Run], *, overwrite: bool) -> None:
    """To overwrite is never to replace a member."""
    refuse_existing(path, overwrite=overwrite)
    if any(path.resolve() == run.path.resolve() for run in runs):
        raise StorageError(
            f"{path} is one of the runs, and nothing was overwritten",
            fix="Choose another path with --out",
        )
    refuse_other_things(path)


def _members(
    runs: list[Run], *, soup: Soup | None, snapshots: bool, last: int | None
) -> list[Member]:
    if snapshots and len(runs) != 1:
        raise ConfigError("snapshots are those of one run", got=f"{len(runs)} runs")
    if last is not None and not snapshots:
        raise ConfigError("last counts snapshots", got=last, fix="Pass --snapshots too")
    if not snapshots and len(runs) < (1 if soup else 2):
        raise ConfigError(
            "an ensemble needs two runs or more",
            got=len(runs),
            fix="Name more runs, or pass --snapshots for those of one run",
        )
    return snapshots_of(runs[0], last) if snapshots else members_of(runs)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
