"""The whole tool in one command: fetch, train, compare, report."""

from __future__ import annotations

from pathlib import Path

from .data import obtain_dataset
from .evaluation import Comparison
from .reporting import report
from .sweeps import compare_runs, gather

# Short schedules: minutes on two CPU cores. The recipes' own are longer and better.
_NUM_EPOCHS = {"mlp": 5, "cnn": 3, "hybrid": 2, "resnet": 2}


def demo(
    out: str | Path = "runs/demo",
    *,
    data: str = "fashion-mnist",
    device: str = "auto",
    progress: bool = True,
) -> tuple[Comparison, Path]:
    """Train `mlp`, `cnn`, `hybrid` and `resnet` on short schedules, compare and report.

    What an earlier call has finished is kept, and what it left unfinished is taken up again.

    Args:
        out: the folder of the runs and of ``report.html``.
        data: a data set's name or folder.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: show bars on standard error.

    Returns:
        The comparison, and the path of the report.

    Raises:
        DataError: the data set is missing or corrupt.
        DeviceError: this machine has no such device, or too little memory.
        StorageError: no space or no permission.
    """
    obtain_dataset(data, progress=progress)
    runs = []
    for name, num_epochs in _NUM_EPOCHS.items():
        runs += gather(
            [name],
            data=data,
            overrides=[f"train.num_epochs={num_epochs}"],
            runs=out,
            device=device,
            progress=progress,
        )
    comparison = compare_runs(runs, device=device)
    path = report(
        runs,
        Path(out) / "report.html",
        overwrite=True,
        comparison=comparison,
        device=device,
        progress=progress,
    )
    return comparison, path
